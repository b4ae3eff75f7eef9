//! A message with places: what is wrong, the source lines that belong to it, notes. One look for verdicts and findings.

use annotate_snippets::{Group, Level, Renderer};

use super::source::{Sources, Spot};
use crate::machine::Moment;
use crate::object::LineInfo;

/// Columns that text has where no terminal says how wide it is.
const WIDTH: usize = 100;

/// How messages look.
#[derive(Clone, Debug)]
pub struct Look {
    /// Where source files are.
    pub sources: Sources,
    /// With colours?
    pub colour: bool,
    /// Columns of the terminal.
    pub width: usize,
}

impl Look {
    /// Plain text, with the lines that the compiler kept.
    #[must_use]
    pub fn plain() -> Look {
        Look { sources: Sources::none(), colour: false, width: WIDTH }
    }

    /// For a terminal of that width.
    #[must_use]
    pub fn of_terminal(sources: Sources, width: Option<usize>) -> Look {
        Look { sources, colour: width.is_some(), width: width.unwrap_or(WIDTH) }
    }

    /// Renders a message.
    #[must_use]
    pub fn render(&self, report: &[Group<'_>]) -> String {
        let renderer = if self.colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(report)
    }
}

/// A place that belongs to a message.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its source line, if known.
    pub line: Option<LineInfo>,
    /// What stands for the line if it is not known.
    pub otherwise: String,
    /// What happened there.
    pub label: String,
    /// Is it the place that the message is about?
    pub primary: bool,
    /// When, if it is a moment of a run.
    pub at: Option<Moment>,
}

/// Something that is wrong.
#[derive(Clone, Debug)]
pub struct Told {
    /// By what name.
    pub id: String,
    /// What, in one line.
    pub title: String,
    /// Is it only that it could not be judged?
    pub undecided: bool,
    /// Where, in the order in which it happened.
    pub places: Vec<Place>,
    /// More about it.
    pub notes: Vec<String>,
}

impl Told {
    /// The message for people, with further notes; ends with a line break.
    #[must_use]
    pub fn text(&self, look: &Look, more: &[String]) -> String {
        let level = if self.undecided { Level::WARNING } else { Level::ERROR };
        let mut group = Group::with_title(level.primary_title(self.title.as_str()).id(self.id.as_str()));
        let labels: Vec<String> = (0..self.places.len()).map(|number| self.label(number)).collect();
        let known = |(place, label): (&'_ Place, &String)| (place.line.clone(), label.clone(), place.primary);
        let known: Vec<_> = self.places.iter().zip(&labels).map(known).collect();
        let spots: Vec<Spot<'_>> = known
            .iter()
            .filter_map(|(line, label, primary)| {
                Some(Spot { line: line.as_ref()?, label: label.clone(), primary: *primary })
            })
            .collect();
        group = look.sources.show(group, &spots);
        for (place, label) in self.places.iter().zip(&labels).filter(|(place, _)| place.line.is_none()) {
            group = group.element(Level::NOTE.message(format!("{label}: {}", place.otherwise)));
        }
        for note in self.notes.iter().chain(more) {
            group = group.element(Level::NOTE.message(note.clone()));
        }
        format!("{}\n", look.render(&[group]))
    }

    /// The moments of its places, in their order, if there are several.
    #[must_use]
    pub fn moments(&self) -> Vec<Moment> {
        // A place without a moment keeps its number.
        let never = Moment { place: crate::machine::Place::BEFORE, cpu: u32::MAX, step: u64::MAX };
        let moments = self.places.iter().map(|place| place.at.unwrap_or(never));
        if self.places.len() > 1 { moments.collect() } else { Vec::new() }
    }

    /// What is said of a place: with its number, if there are several.
    fn label(&self, number: usize) -> String {
        let label = &self.places[number].label;
        if self.places.len() > 1 { format!("{}: {label}", number + 1) } else { label.clone() }
    }
}
