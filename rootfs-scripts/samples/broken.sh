# Images that an engine has to refuse, or to survive, each for one reason. Sourced by ../sample-images, for what it has
# in common with the others. They are in the registry's storage alone: the layout is of images that are whole.

# keep FILE DIGEST: lays FILE where docker-registry looks for the blob DIGEST. It does not look inside.
keep() {
    local place=$partial/registry/docker/registry/v2/blobs/sha256/${2:0:2}/$2
    mkdir -p "$place"
    cp "$1" "$place/data"
}

digest_of() {
    local digest
    digest=$(sha256sum <"$1")
    echo "${digest%% *}"
}

# refer TYPE FILE [MORE]: a descriptor of FILE as it is.
refer() {
    printf '{"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%s%s}' \
        "$1" "$(digest_of "$2")" "$(stat -c %s "$2")" "${3-}"
}

# write_manifest LAYER.tar.gz [DIFF_ID [SIZE]]: the config and the manifest of an image of this one layer, in $work. DIFF_ID
# and SIZE stand in the place of what is true.
write_manifest() {
    local diff_id=${2:-$(gunzip <"$1" | sha256sum)} layer
    printf '{"architecture":"amd64","os":"linux","config":{"Cmd":["/bin/sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
        "${diff_id%% *}" >"$work/config"
    layer=$(refer layer.v1.tar+gzip "$1")
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}' \
        "$(refer config.v1+json "$work/config")" "${layer/%'"size":'*/'"size":'${3:-$(stat -c %s "$1")}\}}" >"$work/manifest"
    keep "$work/config" "$(digest_of "$work/config")"
}

# offer NAME TEXT DOCUMENT BLOBS: the image broken/NAME, whose tag leads to DOCUMENT.
offer() {
    local repository=$partial/registry/docker/registry/v2/repositories/broken/$1 digest
    digest=$(digest_of "$3")
    keep "$3" "$digest"
    link "$repository/_manifests/revisions/sha256/$digest" "$digest"
    link "$repository/_manifests/tags/latest/index/sha256/$digest" "$digest"
    link "$repository/_manifests/tags/latest/current" "$digest"
    for digest in $4; do
        link "$repository/_layers/sha256/$digest" "$digest"
    done
    printf '%-22s %s\n' "broken/$1" "$2" >>"$partial/list"
}

# layer NAME [TAR-OPTION…]: a layer of its own, $work/NAME.gz, with a file that names it.
layer() {
    mkdir -p "$work/files"
    echo "broken/$1" >"$work/files/name"
    seq 20000 >"$work/files/numbers"
    tar --create --numeric-owner --owner=0 --group=0 --sort=name --mtime=2023-06-10Z --absolute-names "${@:2}" \
        --directory="$work/files" . | gzip --no-name >"$work/$1.gz"
    digest=$(digest_of "$work/$1.gz")
}

make_broken() {
    local work=$partial/broken digest size manifest
    mkdir "$work"

    layer wrong-digest
    write_manifest "$work/wrong-digest.gz"
    size=$(stat -c %s "$work/wrong-digest.gz")
    printf '\377' | dd of="$work/wrong-digest.gz" bs=1 seek=$((size / 2)) conv=notrunc status=none
    keep "$work/wrong-digest.gz" "$digest"
    offer wrong-digest "one byte of the layer is another" "$work/manifest" "$digest $(digest_of "$work/config")"

    layer truncated
    write_manifest "$work/truncated.gz"
    truncate --size=10000 "$work/truncated.gz"
    keep "$work/truncated.gz" "$digest"
    offer truncated "the registry has only the beginning of the layer" "$work/manifest" "$digest $(digest_of "$work/config")"

    layer missing-blob
    write_manifest "$work/missing-blob.gz"
    offer missing-blob "the registry does not have the layer" "$work/manifest" "$(digest_of "$work/config")"

    layer cut-off
    cp "$work/cut-off.gz" "$work/whole.gz"
    truncate --size=-9 "$work/cut-off.gz"
    digest=$(digest_of "$work/cut-off.gz")
    write_manifest "$work/cut-off.gz" "$(gunzip <"$work/whole.gz" | sha256sum)"
    keep "$work/cut-off.gz" "$digest"
    offer cut-off "the layer was packed while the disk was full: its digest is right, its end is missing" \
        "$work/manifest" "$digest $(digest_of "$work/config")"

    layer wrong-diff-id
    write_manifest "$work/wrong-diff-id.gz" "$(sha256sum </dev/null)"
    keep "$work/wrong-diff-id.gz" "$digest"
    offer wrong-diff-id "the layer unpacks to something else than the config promises" \
        "$work/manifest" "$digest $(digest_of "$work/config")"

    layer huge
    write_manifest "$work/huge.gz" '' $((1 << 60))
    keep "$work/huge.gz" "$digest"
    offer huge "a layer of 1 EiB, says the manifest" "$work/manifest" "$digest $(digest_of "$work/config")"

    # The attacks. Both aim at /tmp, where anybody can see whether they hit.
    layer dotdot --transform='s|^\./name|../../../../../../../../../../../../tmp/slipway-was-here|'
    write_manifest "$work/dotdot.gz"
    keep "$work/dotdot.gz" "$digest"
    offer dotdot 'a file whose name climbs out of the root filesystem with `..`' \
        "$work/manifest" "$digest $(digest_of "$work/config")"

    ln -s /tmp "$work/files/a-way"
    layer way-out --transform='s|^\./name|./a-way/slipway-was-here|'
    rm "$work/files/a-way"
    write_manifest "$work/way-out.gz"
    keep "$work/way-out.gz" "$digest"
    offer way-out "a link to /tmp, and a file behind the link" "$work/manifest" "$digest $(digest_of "$work/config")"

    layer other-machine
    write_manifest "$work/other-machine.gz"
    manifest=$(refer manifest.v1+json "$work/manifest" ',"platform":{"architecture":"s390x","os":"linux"}')
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s]}' "$manifest" >"$work/index"
    offer other-machine "it is for a mainframe (s390x) and nothing else" "$work/index" ''

    rm -r "$work"
}
