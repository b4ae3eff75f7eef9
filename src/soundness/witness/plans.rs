//! The scenarios of a hunt: the program alone, several times, beside itself, and with the other programs of its object.

use super::Subject;
use super::inputs::Start;
use crate::scenario::{PlacedRun, Run, Scenario, Task};

/// Programs of the object that are tried as companions.
const MAX_SIBLINGS: usize = 12;

/// Shapes that are tried before inputs are drawn at random, and of these the ones in which nothing else runs.
pub const FIRST: usize = 3;
pub const ALONE: usize = 2;

/// Of which scenarios all runs are tried where no run shows the harm: shapes, and whether others have filled the maps. With
/// full maps somebody else takes what they hold, on another CPU.
pub const WHOLE: [(Shape<'static>, bool); 3] =
    [(Shape::Alone(1), false), (Shape::Alone(1), true), (Shape::Beside(1), false)];

/// A scenario's shape: what runs besides the program itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape<'a> {
    /// The program, so many times on one CPU.
    Alone(u32),
    /// The program on two CPUs, so many times on each.
    Beside(u32),
    /// The sibling once or twice before the program.
    After(&'a str, u32),
    /// The sibling on one CPU and the program on the other.
    With(&'a str),
    /// The first sibling before, the second beside the program.
    Between(&'a str, &'a str),
}

/// The shapes, those first that find most.
pub fn shapes<'a>(subject: &Subject<'a>) -> Vec<Shape<'a>> {
    let mut shapes = vec![Shape::Alone(1), Shape::Alone(4), Shape::Beside(1), Shape::Beside(2)];
    let siblings = &subject.siblings[..subject.siblings.len().min(MAX_SIBLINGS)];
    for sibling in siblings {
        shapes.extend([Shape::After(sibling, 1), Shape::With(sibling)]);
    }
    for sibling in siblings {
        shapes.push(Shape::Between(sibling, sibling));
    }
    shapes
}

fn run(program: &str, repeat: u32) -> Run {
    Run { program: program.to_owned(), input: Default::default(), repeat, position: Default::default() }
}

/// The scenario of that shape, with that start for the program.
pub fn scenario(subject: &Subject<'_>, shape: Shape<'_>, start: &Start) -> Scenario {
    let mut scenario = Scenario::about(subject.path);
    scenario.allocation_failures = true;
    scenario.stocked = start.stocked;
    scenario.readings = start.readings.clone();
    scenario.globals = start.globals.clone();
    let own = |repeat| Run { input: start.input.clone(), ..run(&subject.program.name, repeat) };
    let task = |cpu, run| Task { cpu, run: vec![run] };
    let first = |sibling, repeat| PlacedRun { cpu: 0, run: run(sibling, repeat) };
    scenario.on = match shape {
        Shape::Alone(repeat) | Shape::After(_, repeat) => vec![task(0, own(repeat))],
        Shape::Beside(repeat) => vec![task(0, own(repeat)), task(1, own(repeat))],
        Shape::With(sibling) | Shape::Between(_, sibling) => vec![task(0, own(1)), task(1, run(sibling, 1))],
    };
    match shape {
        Shape::After(sibling, _) | Shape::Between(sibling, _) => scenario.first.push(first(sibling, 1)),
        _ => {}
    }
    scenario
}
