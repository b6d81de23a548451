//! The first process of the throw-away VM; on this machine it does nothing.

fn main() {
    if std::process::id() == 1 {
        tests::vm::guest::main();
    }
}
