//! Which layers an image consists of, by names that other images use as well (OCI image
//! specification, "Layer ChainID").

use reference::Digest;

/// The chain ids of layers, the lowest first.
///
/// A layer is a change, so what it makes depends on all that lies below it. Its diff_id says what the
/// change is; its chain id says that and on what. Two images have a layer in common where they have
/// this id in common.
pub fn ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut ids: Vec<Digest> = Vec::new();
    for diff_id in diff_ids {
        ids.push(match ids.last() {
            None => diff_id.clone(),
            Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
        });
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_id_is_of_the_one_below_and_its_own_change() {
        let diff_ids = ["a", "b", "b"].map(|text| Digest::of(text.as_bytes()));
        // By sha256sum, with a space between the two.
        let expected = [
            "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
            "sha256:51c0c8ace48498d6f5fee6b0592cc06f2da0f3cbe09c5a34a97dce85c3889676",
            "sha256:46ec43a32592ad892f7c17823d94e844b9e2e21c787684e5dde2715402cb22b0",
        ];
        let ids: Vec<String> = ids(&diff_ids).iter().map(Digest::to_string).collect();
        assert_eq!(ids, expected);
        assert!(super::ids(&[]).is_empty());
    }
}
