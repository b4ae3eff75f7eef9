//! The instruction set: decoder and machine against RFC 9669, which stands in `rows.rs` as a table of its own, against rbpf as far
//! as rbpf goes, and against a real kernel when `KPTRSIM_TEST_KERNEL` is 1.
//!
//! `KPTRSIM_ISA_CASES` sets the number of random programs (1000 when absent).

mod control;
mod encoding;
mod exhaustive;
mod kernel;
mod program;
mod random;
mod rbpf_differences;
mod reference;
mod rows;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// A test of ours.
type Test = fn();

const TESTS: [(&str, Test); 18] = [
    ("encoding::slots_decode_if_and_only_if_a_row_has_them", encoding::slots_decode_if_and_only_if_a_row_has_them),
    ("encoding::groups_are_whole", encoding::groups_are_whole),
    ("encoding::second_slots_of_wide_loads_hold_an_immediate_alone", encoding::second_slots),
    ("encoding::what_no_row_has_faults_when_reached", encoding::what_no_row_has_faults),
    ("exhaustive::arithmetic", exhaustive::arithmetic),
    ("exhaustive::arithmetic_of_a_register_with_itself", exhaustive::aliased_arithmetic),
    ("exhaustive::conditions", exhaustive::conditions),
    ("exhaustive::conditions_of_a_register_with_itself", exhaustive::aliased_conditions),
    ("exhaustive::memory", exhaustive::memory),
    ("exhaustive::memory_at_the_limits_of_offsets", exhaustive::far_offsets),
    ("exhaustive::wide_loads", exhaustive::wide_loads),
    ("control::jumps_of_every_kind_reach_their_limits", control::far_jumps),
    ("control::functions_keep_four_registers", control::functions),
    ("control::packets_are_read_in_network_order", control::packets),
    ("control::may_goto_ends_at_the_budget", control::may_goto),
    ("random::programs_agree_with_the_table", random::programs_agree_with_the_table),
    ("random::programs_agree_with_rbpf", random::programs_agree_with_rbpf),
    ("rbpf_differences::each_is_still_there", rbpf_differences::each_is_still_there),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let wanted = std::env::var("KPTRSIM_TEST_KERNEL").is_ok_and(|value| value == "1");
    let trial = |name: &str, test: Test| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let mut trials: Vec<Trial> = TESTS.iter().map(|&(name, test)| trial(name, test)).collect();
    trials.push(trial("kernel::random_programs", kernel::random_programs).with_ignored_flag(!wanted));
    libtest_mimic::run(&arguments, trials).exit_code()
}
