//! A smaller program for the same disagreement.
//!
//! Asking a kernel costs by the question more than by the program. So in each round all edits of the program are asked about at
//! once, and then, again at once, what comes of several good edits together: all of them, the first half, a quarter.

use rustc_hash::FxHashSet;

use crate::soundness::program::{Program, lower};
use crate::strategies::edit;

/// Rounds at most.
const MAX_ROUNDS: usize = 60;
/// Programs in one question.
const BATCH: usize = 256;

/// A program that shows the same with no edit left that keeps it.
///
/// `holds` says of each of some programs whether it does. What becomes the same instructions is asked about once.
///
/// # Errors
/// Those of `holds`.
pub fn shrink<E>(program: Program, mut holds: impl FnMut(&[Program]) -> Result<Vec<bool>, E>) -> Result<Program, E> {
    let mut current = program;
    for _ in 0..MAX_ROUNDS {
        let good = good_edits(&current, &mut holds)?;
        if good.is_empty() {
            break;
        }
        current = together(&current, &good, &mut holds)?;
    }
    Ok(current)
}

/// Numbers of the edits that keep it, ascending.
fn good_edits<E>(
    current: &Program,
    holds: &mut impl FnMut(&[Program]) -> Result<Vec<bool>, E>,
) -> Result<Vec<usize>, E> {
    let code = lower(current);
    let mut seen = FxHashSet::default();
    let mut good = Vec::new();
    let (mut numbers, mut asked) = (Vec::new(), Vec::new());
    for (number, edited) in (0..).map_while(|number| Some((number, edit(current, number)?))) {
        if edited == *current {
            continue;
        }
        let lowered = lower(&edited);
        if lowered == code {
            good.push(number);
        } else if seen.insert(format!("{lowered:?}")) {
            numbers.push(number);
            asked.push(edited);
        }
    }
    for (numbers, asked) in numbers.chunks(BATCH).zip(asked.chunks(BATCH)) {
        let kept = holds(asked)?;
        good.extend(numbers.iter().zip(kept).filter(|(_, kept)| *kept).map(|(number, _)| *number));
    }
    good.sort_unstable();
    Ok(good)
}

/// The program after as many of the edits as keep it together.
fn together<E>(
    current: &Program,
    good: &[usize],
    holds: &mut impl FnMut(&[Program]) -> Result<Vec<bool>, E>,
) -> Result<Program, E> {
    let mut parts = Vec::new();
    let mut length = good.len();
    while length > 1 {
        parts.extend(good.chunks(length));
        length = length.div_ceil(2);
    }
    let combined: Vec<Program> = parts.iter().map(|part| edited(current, part)).collect();
    for batch in combined.chunks(BATCH) {
        // The parts stand with the longest first.
        if let Some(place) = holds(batch)?.into_iter().position(|kept| kept) {
            return Ok(batch[place].clone());
        }
    }
    Ok(edited(current, &good[..1]))
}

/// Several edits, the last first: an edit leaves what stands before it where it is.
fn edited(program: &Program, numbers: &[usize]) -> Program {
    let last_first = numbers.iter().rev();
    last_first.fold(program.clone(), |program, &number| edit(&program, number).unwrap_or(program))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::soundness::program::{Reference, Statement};
    use crate::strategies::{Config, Families, generate};

    /// Of the instructions, since statements that become none are taken out without a question.
    fn sections(program: &Program) -> usize {
        let lines = lower(program).functions.into_iter().flat_map(|function| function.lines);
        lines.filter(|line| line.reference == Some(Reference::Kfunc("bpf_rcu_read_lock".to_owned()))).count()
    }

    fn statements(body: &[Statement]) -> usize {
        body.iter().map(|one| 1 + one.blocks().into_iter().map(statements).sum::<usize>()).sum()
    }

    #[test]
    fn what_is_left_is_what_it_takes_and_little_was_asked() {
        let config = Config { families: Families::OWNERSHIP, ..Config::default() };
        let programs = (0..).map(|seed| generate(&config, seed));
        let program = programs.into_iter().find(|one| sections(one) == 2 && statements(&one.body) > 12);
        let mut questions = 0;
        let small = shrink(program.expect("there is one"), |programs| {
            questions += 1;
            Ok::<_, Infallible>(programs.iter().map(|one| sections(one) >= 2).collect())
        });
        let Ok(small) = small;
        // One that borrows a node has a section of its own, and needs the slot that the node is in.
        assert_eq!(sections(&small), 2);
        assert!(statements(&small.body) <= 3, "{small:#?}");
        assert!(questions < 20, "{questions}");
    }
}
