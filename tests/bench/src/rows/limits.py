# In the VM: starts `true` in a container with limits, in turns, once each before it counts.
# Prints a line for each run: the program's name, milliseconds by the clock, milliseconds of processor time.
import json, os, resource, subprocess, sys, time

rounds, rootfs = int(sys.argv[1]), "/slipway/rootfs"
bundle = "/tmp/bench-bundle"
os.makedirs(bundle, exist_ok=True)
subprocess.run(["runc", "spec"], cwd=bundle, check=True)
with open(bundle + "/config.json") as file:
    spec = json.load(file)
spec["process"]["terminal"] = False
spec["process"]["args"] = ["/bin/true"]
spec["root"] = {"path": rootfs, "readonly": False}
# In a user namespace without a network of its own nobody may mount a new /sys.
spec["mounts"] = [one for one in spec["mounts"] if not one["destination"].startswith("/sys")]
linux = spec["linux"]
linux["namespaces"] = [one for one in linux["namespaces"] if one["type"] != "network"] + [{"type": "user"}]
linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": 0, "size": 65536}]
# As --memory 64M --cpus 0.5 --pids 32 has it.
linux["resources"] = {
    "memory": {"limit": 64 << 20, "swap": 64 << 20},
    "cpu": {"quota": 50000, "period": 100000},
    "pids": {"limit": 32},
}
with open(bundle + "/config.json", "w") as file:
    json.dump(spec, file)

number = 0


def command(name):
    global number
    number += 1
    if name == "step 6":
        limits = ["--memory", "64M", "--cpus", "0.5", "--pids", "32"]
        return ["step6", *limits, "--rootfs", rootfs, "/bin/true"]
    return [name, "run", "--bundle", bundle, f"bench-{number}"]


def run(name):
    def used():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    line, before, start = command(name), used(), time.monotonic()
    subprocess.run(line, stdin=subprocess.DEVNULL, check=True)
    return (time.monotonic() - start) * 1000, (used() - before) * 1000


for turn in range(rounds):
    for name in ["step 6", "crun", "runc"]:
        wall, cpu = run(name)
        print(f"{name}\t{wall:.3f}\t{cpu:.3f}", flush=True)
