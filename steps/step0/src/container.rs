//! What happens to the process, in order.

use shared::Error;
use step0::exec::exec;

use crate::Options;

/// Runs the command and gives its exit status.
pub fn run(options: &Options) -> Result<u8, Error> {
    match exec(&options.command)? {}
}
