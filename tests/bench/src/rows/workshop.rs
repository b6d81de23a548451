//! What a reader waits for between two tries.

use std::process::Command;

use super::Contender;
use crate::bench::Bench;
use crate::measure::run;

/// The recipe beside the program that it runs.
pub fn just_step(bench: &Bench) -> Result<Vec<Contender>, String> {
    let (log, rootfs) = (bench.path("log"), bench.rootfs());
    let mut step4 = bench.program("step4");
    step4.arg("--rootfs").arg(&rootfs).arg("/bin/true");
    let mut just = Command::new(bench.checkout.join("just"));
    just.args(["step", "4", "--", "--rootfs"]).arg(&rootfs).arg("/bin/true");
    just.current_dir(&bench.checkout);
    let other = log.clone();
    Ok(vec![
        Contender::new("step 4", move || run(&mut step4, &log, false)),
        Contender::new("./just step 4", move || run(&mut just, &other, false)),
    ])
}

/// What `./just test` compiles before it checks anything.
pub fn build(bench: &Bench) -> Result<Vec<Contender>, String> {
    let (log, target) = (bench.path("log"), bench.path("target"));
    let checkout = bench.checkout.clone();
    Ok(vec![Contender::new("cargo", move || {
        let mut command = Command::new("sh");
        command.args(["-ec", "cargo build --release --package 'step*'; cargo build --workspace"]);
        command.current_dir(&checkout).env("CARGO_TARGET_DIR", &target);
        let _ = std::fs::remove_dir_all(&target);
        run(&mut command, &log, false)
    })])
}

/// A stage's checks, in the VM.
pub fn verify(bench: &Bench) -> Result<Vec<Contender>, String> {
    let log = bench.path("log");
    let mut command = Command::new(bench.checkout.join("just"));
    command.args(["verify", "4"]).current_dir(&bench.checkout);
    Ok(vec![Contender::new("./just verify 4", move || run(&mut command, &log, false))])
}
