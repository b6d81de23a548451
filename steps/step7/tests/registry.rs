//! The registry client against registries that are odd, broken or hostile: small servers on
//! loopback, each with its script.

#[path = "registry/answers.rs"]
mod answers;
#[path = "registry/blobs.rs"]
mod blobs;
#[path = "registry/challenges.rs"]
mod challenges;
#[path = "registry/secrets.rs"]
mod secrets;
#[path = "registry/server.rs"]
mod server;
#[path = "registry/time.rs"]
mod time;
