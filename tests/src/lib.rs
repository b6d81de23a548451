//! Behaviour checks of every stage, the VM they run in, and the tools around them.
pub mod checks;
pub mod doctor;
pub mod report;
pub mod snapshots;
pub mod surveys;
pub mod trace;
pub mod transcripts;
pub mod vm;
