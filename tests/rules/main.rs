//! The pages on rules: each rule has one, the program on it breaks that rule and no other, and the mended one is accepted.
//!
//! With `KPTRSIM_TEST_KERNEL=1` a real kernel under QEMU is asked about all of the programs, in one boot. [`pages`] reads
//! the pages from `docs/rules`; [`programs`] compiles and verifies what stands on them, [`kernel`] asks. Start at [`main`].

mod kernel;
mod pages;
mod programs;

use std::process::{Command, ExitCode};
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

use pages::Found;

/// Set to make a missing clang an error instead of a visible skip.
const REQUIRE_CLANG: &str = "KPTRSIM_REQUIRE_CLANG";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let clang = Command::new("clang-19").arg("--version").output().is_ok();
    let skip = !clang && std::env::var_os(REQUIRE_CLANG).is_none_or(|value| value != "1");
    let found = match pages::read() {
        Ok(found) => Arc::new(found),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut trials = vec![
        trial("there are the rules' pages and nothing else", &found, pages::complete),
        trial("the kernel's verdicts", &found, kernel::agrees).with_ignored_flag(skip || !kernel::is_wanted()),
    ];
    for page in &found.pages {
        let shape = page.clone();
        trials.push(Trial::test(format!("page {}", page.rule.id), move || pages::tells_the_rule(&shape)));
        let programs = page.clone();
        trials.push(
            Trial::test(format!("programs {}", page.rule.id), move || programs::verify(&programs))
                .with_ignored_flag(skip || (programs::needs_kernel(page) && !kernel::is_wanted())),
        );
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(name: &str, found: &Arc<Found>, check: fn(&Found) -> Result<(), libtest_mimic::Failed>) -> Trial {
    let found = Arc::clone(found);
    Trial::test(name, move || check(&found))
}
