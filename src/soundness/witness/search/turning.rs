//! Inputs at which comparisons turn: each number of an input that took a new step is turned, one at a time.
//!
//! It finds what chance does not: the one length, protocol number or random number that a program asks for. Start at
//! [`Hunt::turn`].

use super::super::Witness;
use super::super::inputs::Start;
use super::super::operands::{Executed, turning_points};
use super::super::plans::{Shape, scenario};
use super::{Hunt, Way};

/// Runs at most to see what each number of an input does to comparisons.
const TURNS: u64 = 1000;
/// By how much a number is changed to see that.
const MOVES: [i64; 2] = [1, 1 << 12];

impl Hunt<'_> {
    /// Turns each number of the inputs that took a new step, one at a time, to where a comparison turns.
    pub(super) fn turn(&mut self) -> Option<Witness> {
        if self.maker.is_constant() {
            return None;
        }
        let mut tried: Vec<Start> = Vec::new();
        while let Some(start) = self.corpus.get(self.turned).map(|start| self.maker.completed(start)) {
            self.turned += 1;
            let Some(first) = self.look(&start) else { continue };
            for knob in self.maker.knobs(&start) {
                for by in MOVES {
                    if self.turns >= TURNS || self.is_over() {
                        return None;
                    }
                    let moved = self.maker.turned(&start, knob, by);
                    let Some(second) = moved.and_then(|moved| self.look(&moved)) else { continue };
                    let points = turning_points(&first.comparisons, &second.comparisons, by);
                    for &point in &points {
                        let Some(next) = self.maker.turned(&start, knob, point) else { continue };
                        if tried.contains(&next) {
                            continue;
                        }
                        if let found @ Some(_) = self.try_input(&next) {
                            return found;
                        }
                        tried.push(next);
                    }
                    if !points.is_empty() {
                        break;
                    }
                }
            }
        }
        None
    }

    /// What one run of the program alone executes.
    fn look(&mut self, start: &Start) -> Option<Executed> {
        let scenario = scenario(self.subject, Shape::Alone(1), start);
        let mut simulation = self.simulate(&scenario)?;
        let mut executed = self.nothing(&simulation)?;
        self.go(&mut simulation, &mut executed, Way::First);
        self.turns += 1;
        Some(executed)
    }

    /// Tries an input, and keeps it if it takes a new step.
    pub(super) fn try_input(&mut self, start: &Start) -> Option<Witness> {
        self.tried.inputs += 1;
        let (interesting, failed, reached) = self.probe(start)?;
        if interesting {
            self.corpus.push(start.clone());
        }
        if reached && (interesting || self.reaching.is_empty()) {
            self.reaching.push(start.clone());
        }
        if interesting || failed { self.under_schedules(Shape::Alone(1), start) } else { None }
    }
}
