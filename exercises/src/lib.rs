//! Step N as an exercise: a starter made from the sources of two steps, tasks, hints, and the
//! solution task by task.

pub mod advice;
pub mod build;
pub mod grade;
pub mod imports;
pub mod manifest;
pub mod mistake;
pub mod numbered;
pub mod place;
pub mod progress;
pub mod report;
pub mod sheet;
pub mod solution;
pub mod starter;
pub mod tasks;
pub mod watch;
