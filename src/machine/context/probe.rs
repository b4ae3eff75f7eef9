//! The functions that `BPF_PROG_TEST_RUN` of a tracing program calls, with what it calls them
//! (`bpf_prog_test_run_tracing`, `net/bpf/test_run.c`, Linux 6.12).

use crate::object::Section;

/// An argument of such a function.
#[derive(Clone, Copy, Debug)]
pub(super) enum Argument {
    Number(u64),
    /// The address of a variable that holds these bytes.
    Memory(&'static [u8]),
}

/// One of the functions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function {
    pub name: &'static str,
    pub arguments: &'static [Argument],
    /// What it returns.
    pub result: u64,
}

use Argument::{Memory, Number};

const fn function(name: &'static str, arguments: &'static [Argument], result: u64) -> Function {
    Function { name, arguments, result }
}

/// Called for programs that watch.
static WATCHED: [Function; 9] = [
    function("bpf_fentry_test1", &[Number(1)], 2),
    function("bpf_fentry_test2", &[Number(2), Number(3)], 5),
    function("bpf_fentry_test3", &[Number(4), Number(5), Number(6)], 15),
    function("bpf_fentry_test4", &[Number(7), Number(8), Number(9), Number(10)], 34),
    function("bpf_fentry_test5", &[Number(11), Number(12), Number(13), Number(14), Number(15)], 65),
    function("bpf_fentry_test6", &[Number(16), Number(17), Number(18), Number(19), Number(20), Number(21)], 111),
    function("bpf_fentry_test7", &[Number(0)], 0),
    function("bpf_fentry_test8", &[Memory(&[0; 8])], 0),
    function("bpf_fentry_test9", &[Memory(&[0; 4])], 0),
];

/// The variable that the functions below add one to.
const TWO: Argument = Memory(&[2, 0, 0, 0]);

/// Called for programs that may change the result.
static CHANGED: [Function; 2] = [
    function("bpf_modify_return_test", &[Number(1), TWO], 4),
    function("bpf_modify_return_test2", &[Number(1), TWO, Number(3), Number(4), Number(5), Number(6), Number(7)], 29),
];

/// `BPF_TRACE_FENTRY`, `BPF_TRACE_FEXIT`, `BPF_MODIFY_RETURN`.
pub(in crate::machine) const FENTRY: u32 = 24;
pub(in crate::machine) const FEXIT: u32 = 25;
pub(in crate::machine) const MODIFY_RETURN: u32 = 26;

pub(super) fn find(name: &str) -> Option<&'static Function> {
    WATCHED.iter().chain(&CHANGED).find(|function| function.name == name)
}

/// What a test run of a tracing program comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionRun {
    /// Does the test run call the function that the program is attached to?
    pub calls: bool,
    /// May the program change that function's result?
    changes: bool,
    /// What the function returns by itself.
    result: u64,
}

/// What a test run of a program in that section comes to.
#[must_use]
pub fn function_run(section: &Section) -> FunctionRun {
    let called = match section.attach_type {
        FENTRY | FEXIT => &WATCHED[..],
        MODIFY_RETURN => &CHANGED[..],
        _ => &[],
    };
    let function = called.iter().find(|function| function.name == section.target);
    let changes = section.attach_type == MODIFY_RETURN;
    FunctionRun { calls: function.is_some(), changes, result: function.map_or(0, |function| function.result) }
}

impl FunctionRun {
    /// What the test run returns after the program has returned that; `None` if it did not run.
    #[must_use]
    pub fn retval(&self, program: Option<u64>) -> u32 {
        if !self.changes {
            return 0;
        }
        let whole: u64 = CHANGED.iter().map(|function| function.result).sum();
        let all = CHANGED.len() as u32;
        match program.map(|value| value as u32).filter(|&value| value != 0) {
            // The function does not run: its result is the program's, and its side effect is missing.
            Some(value) => {
                let sum = (whole - self.result) as u32;
                (all - 1) << 16 | (sum.wrapping_add(value) & 0xffff)
            }
            None => all << 16 | whole as u32 & 0xffff,
        }
    }
}
