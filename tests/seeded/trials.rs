//! What the modules of `tests/programs` that stand here too need of their own `trials`.

use libtest_mimic::Failed;

/// Fails with the message unless it holds.
pub fn check<M: Into<String>>(holds: bool, message: impl FnOnce() -> M) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(Failed::from(message().into())) }
}
