//! The reader of expectations, tested on small files: what it makes of a good one, and that it refuses the bad ones.

use libtest_mimic::{Failed, Trial};

use crate::expectation::{Amount, Expectations, MapPath, Outcome, Rejection, Step, Verdict};
use crate::trials::check;

const GOOD: &str = "\
// SPDX-License-Identifier: MIT OR Apache-2.0
// Prose: with a colon.
//
// program: bad
// verdict: reject
// errno: EACCES
// reason: R1 invalid mem access 'scalar'
// insn: 14
//
// program: good
// verdict: accept
//
// cpus: 2 64
// set: nr_cpus=cpus
// run: good@1 = -2
// run: good
// run: bad faults use-after-free
// global: sum = 0x10
// map: table[3]@1.a.b[2] = cpus
// leaks: 1
#include \"kptrsim.h\"
	fault(); // REJECT
";

/// Lines that spoil the good file when they are put in its line 4, and a part of what is said about them.
const BAD: [(&str, &str); 14] = [
    ("// verdict: accept", "before any `program`"),
    ("// run: good", "before any `cpus`"),
    ("// program: good", "no verdict"),
    ("// program: third\n// verdict: maybe", "neither accept nor reject"),
    ("// program: third\n// verdict: reject\n// reason: x", "no errno"),
    ("// program: third\n// verdict: reject\n// errno: ESOME", "unknown error ESOME"),
    ("// program: third\n// verdict: accept\n// insn: 3", "is accepted and has"),
    ("// program: third\n// verdict: accept\n// verdict: accept", "second verdict"),
    ("// program: good\n// verdict: accept", "there twice"),
    ("// cpus: 0", "at least 1"),
    ("// cpus: 4", "without a `run`"),
    ("// cpus: 4\n// run: good@4 = 0", "smallest machine has 4"),
    ("// cpus: 4\n// run: other", "no program of this file"),
    ("// cpus: 4\n// run: good unsupported x on y\n// run: good", "does not return"),
];

/// The trials of this module.
pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("reader: a good file", good),
        Trial::test("reader: a rejection keeps its line", rejection),
        Trial::test("reader: bad files", bad),
        Trial::test("reader: keys below the code", below_the_code),
        Trial::test("reader: a mark without a rejection", stray_mark),
    ]
}

fn good() -> Result<(), Failed> {
    let read = Expectations::parse(GOOD)?;
    check(read.programs.len() == 2 && read.stories.len() == 1, || format!("{read:?}"))?;
    let story = &read.stories[0];
    let step = |program: &str, cpu, outcome| Step { program: program.to_owned(), cpu, outcome };
    let steps = [
        step("good", 1, Outcome::Returns(Amount::Number(-2))),
        step("good", 0, Outcome::ReturnsAnything),
        step("bad", 0, Outcome::Faults("use-after-free".to_owned())),
    ];
    let path = MapPath { map: "table".to_owned(), key: 3, cpu: Some(1), members: ".a.b[2]".to_owned() };
    check(path.to_string() == "table[3]@1.a.b[2]", || path.to_string())?;
    check(story.cpus == [2, 64], || format!("{:?}", story.cpus))?;
    check(story.set == [("nr_cpus".to_owned(), Amount::Cpus)], || format!("{:?}", story.set))?;
    check(story.steps == steps, || format!("{:?}", story.steps))?;
    check(story.globals == [("sum".to_owned(), Amount::Number(16))], || format!("{:?}", story.globals))?;
    check(story.maps == [(path, Amount::Cpus)], || format!("{:?}", story.maps))?;
    check(story.maps[0].1.on(64) == 64, || "`cpus` is the number of CPUs")?;
    check(story.leaks == Some(1), || format!("{:?}", story.leaks))
}

fn rejection() -> Result<(), Failed> {
    let read = Expectations::parse(GOOD)?;
    let expected = Verdict::Reject(Rejection {
        errno: 13,
        reason: "R1 invalid mem access 'scalar'".to_owned(),
        insn: Some(14),
        line: Some(22),
    });
    check(read.of("bad").is_some_and(|program| program.verdict == expected), || format!("{:?}", read.of("bad")))?;
    check(read.of("good").is_some_and(|program| program.verdict == Verdict::Accept), || {
        format!("{:?}", read.of("good"))
    })?;
    check(read.of("other").is_none(), || "there is no such program")
}

fn bad() -> Result<(), Failed> {
    for (lines, complaint) in BAD {
        let text = GOOD.replacen("// program: bad\n", &format!("{lines}\n// program: bad\n"), 1);
        match Expectations::parse(&text) {
            Ok(read) => return Err(format!("{lines:?} was taken: {read:?}").into()),
            Err(error) => check(error.contains(complaint), || format!("{lines:?}: {error}"))?,
        }
    }
    Ok(())
}

fn below_the_code() -> Result<(), Failed> {
    let error = Expectations::parse(&format!("{GOOD}// leaks: 0\n")).err().unwrap_or_default();
    check(error.contains("line 23") && error.contains("below the first line of code"), || error)
}

fn stray_mark() -> Result<(), Failed> {
    let rejected = "reject\n// errno: EACCES\n// reason: R1 invalid mem access 'scalar'\n// insn: 14";
    let accepted = GOOD.replace(rejected, "accept");
    let error = Expectations::parse(&accepted).err().unwrap_or_default();
    check(error.contains("exactly one rejected program, and there are 0"), || error)?;
    let error = Expectations::parse(&format!("{GOOD}	again(); // REJECT\n")).err().unwrap_or_default();
    check(error.contains("line 23: a second // REJECT"), || error)
}
