//! What a page shows, as data: the JSON that is embedded in it, for its own script and for other programs.
//!
//! [`Page`] is the whole. A [`View`] is one thing to step through: a program's verification, a run, a schedule. Its
//! states are not written out: each [`Step`] has what changed since the step before it on its path ([`Change`]). Words that
//! occur often stand once, in [`Page::texts`], and are referred to by number.

use serde::Serialize;

use crate::machine::Stage;

/// What [`Page::schema`] says.
pub const SCHEMA: &str = "kptrsim-page";
/// Version of the schema; it changes when something that was there is changed or gone.
pub const VERSION: u32 = 1;

/// A number of [`Page::texts`].
pub type Text = u32;

/// All that a page shows.
#[derive(Clone, Debug, Serialize)]
pub struct Page {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// [`VERSION`].
    pub version: u32,
    /// Name and version of what made it.
    pub generator: String,
    /// What it is about.
    pub kind: Kind,
    /// The object, scenario or schedule.
    pub title: String,
    /// What is known of the whole.
    pub facts: Vec<Fact>,
    /// The whole result as the terminal has it; empty if each view has its own.
    pub report: String,
    /// Source files.
    pub files: Vec<File>,
    /// Programs.
    pub programs: Vec<Program>,
    /// What was observed at the ends of runs, for explorations.
    pub outcomes: Vec<Outcome>,
    /// What can be stepped through.
    pub views: Vec<View>,
    /// Words, referred to by number.
    pub texts: Vec<String>,
}

/// What a page is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Programs and their verdicts.
    Verification,
    /// One run.
    Run,
    /// Findings of an exploration, each with a schedule.
    Exploration,
    /// One schedule.
    Replay,
}

/// One thing that is known, with a name.
#[derive(Clone, Debug, Serialize)]
pub struct Fact {
    /// Its name.
    pub name: String,
    /// What it is.
    pub value: String,
}

/// What can be observed at the end of some runs.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The observation.
    pub text: String,
    /// Runs that ended so.
    pub runs: u64,
}

/// A source file, as far as it is known.
#[derive(Clone, Debug, Serialize)]
pub struct File {
    /// As the compiler named it.
    pub name: String,
    /// Are all its lines here, or just those that instructions came from?
    pub whole: bool,
    /// Lines by number.
    pub lines: Vec<Line>,
}

/// A line of a source file.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// From 1.
    pub number: u32,
    /// Without its end.
    pub text: String,
}

/// A program's code.
#[derive(Clone, Debug, Serialize)]
pub struct Program {
    /// Name of its entry function.
    pub name: String,
    /// Its ELF section.
    pub section: String,
    /// Its functions by ascending slot.
    pub functions: Vec<Function>,
    /// Its instructions by ascending slot; second halves of wide loads have no entry.
    pub instructions: Vec<Instruction>,
}

/// A function of a program.
#[derive(Clone, Debug, Serialize)]
pub struct Function {
    /// Name.
    pub name: String,
    /// First slot.
    pub start: usize,
    /// Behind its last slot.
    pub end: usize,
    /// Its control-flow graph; `None` if that is too large to be drawn.
    pub graph: Option<Graph>,
}

/// An instruction.
#[derive(Clone, Debug, Serialize)]
pub struct Instruction {
    /// Its slot.
    pub slot: usize,
    /// As the kernel's log prints it.
    pub text: String,
    /// Index into [`Page::files`] and line, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<(u32, u32)>,
}

/// A control-flow graph, laid out. Lengths are in pixels, from the upper left corner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Graph {
    /// Width of the drawing.
    pub width: i32,
    /// Height of the drawing.
    pub height: i32,
    /// Basic blocks by ascending slot.
    pub blocks: Vec<Block>,
    /// Edges.
    pub edges: Vec<Edge>,
}

/// A basic block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Block {
    /// First slot.
    pub first: usize,
    /// Last instruction's slot.
    pub last: usize,
    /// Its source lines, or instructions where the source is not known.
    pub label: Vec<String>,
    /// Left edge.
    pub x: i32,
    /// Upper edge.
    pub y: i32,
    /// Width.
    pub width: i32,
    /// Height.
    pub height: i32,
}

/// How control goes from one block to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EdgeKind {
    /// It goes on, or jumps whatever happens.
    Next,
    /// The condition holds.
    Taken,
    /// The condition does not hold.
    NotTaken,
}

/// An edge between two blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// Index of the block that it leaves.
    pub from: usize,
    /// Index of the block that it enters.
    pub to: usize,
    /// Which way it is.
    pub kind: EdgeKind,
    /// The condition under which a jump is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Its course.
    pub points: Vec<(i32, i32)>,
}

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The verifier accepts the program.
    Accepted,
    /// The verifier rejects it.
    Rejected,
    /// No verdict: something is not supported.
    Unsupported,
    /// A run in which nothing went wrong.
    Fine,
    /// A run in which something went wrong.
    Found,
    /// A run that could not be judged to its end.
    Undecided,
}

/// Something to step through.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// A name of its own on the page, for links.
    pub name: String,
    /// In a list of views.
    pub title: String,
    /// How it ended.
    pub status: Status,
    /// The same in words: a verdict, a finding.
    pub verdict: String,
    /// What is known of it.
    pub facts: Vec<Fact>,
    /// How it came to that, in order.
    pub story: Vec<Note>,
    /// The result as the terminal has it.
    pub report: String,
    /// Who takes steps; one lane where there is only one.
    pub lanes: Vec<String>,
    /// Keys of what [`Change`]s are about.
    pub keys: Vec<Key>,
    /// Steps. Each is an instruction with the state before it; the last one may stand for the end.
    pub steps: Vec<Step>,
    /// Paths through the steps. A run has one.
    pub paths: Vec<Path>,
    /// Steps that are left out, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<String>,
    /// What happens side by side, for runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Timeline>,
}

/// One part of how something came about.
#[derive(Clone, Debug, Serialize)]
pub struct Note {
    /// What it is.
    pub kind: NoteKind,
    /// In words.
    pub text: String,
    /// The step that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
}

/// What a [`Note`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoteKind {
    /// What is wrong.
    Error,
    /// What led there.
    Note,
    /// What would mend it.
    Help,
}

/// What a piece of state is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// A section or lock that is open.
    Section,
    /// A reference that must be given back, or an object and who holds it.
    Reference,
    /// A register.
    Register,
    /// Bytes of a stack.
    Stack,
    /// Memory that others can see.
    Memory,
}

/// A piece of state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Key {
    /// What it is.
    pub kind: KeyKind,
    /// Whose it is; `None` if everybody's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<u32>,
    /// Call frame, from 0, of registers and stacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<u32>,
    /// Its name: `r1`, `fp-8`.
    pub name: String,
}

/// What a piece of state has become: index into [`View::keys`], and its value; `None` if it is gone.
pub type Change = (u32, Option<Text>);

/// A step.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Step {
    /// Index into [`View::lanes`].
    pub lane: u32,
    /// Index into [`Page::programs`]; `None` where no program is concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<u32>,
    /// Slot of the instruction that comes next; `None` for other steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<usize>,
    /// The step before it on its path; `None` at a path's start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<usize>,
    /// How it was come to, where that says something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub came: Option<Text>,
    /// How the state before it differs from that before its parent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// What it does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Text>,
}

/// A path: the step at which it ends, and a name.
#[derive(Clone, Debug, Serialize)]
pub struct Path {
    /// Name.
    pub name: String,
    /// Its last step.
    pub last: usize,
}

/// What happens side by side. Times are numbers of steps; an end is exclusive.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Timeline {
    /// Sections of lanes.
    pub sections: Vec<Section>,
    /// Waits for grace periods.
    pub grace_periods: Vec<GraceWait>,
    /// Objects' lives.
    pub objects: Vec<ObjectLife>,
    /// What two steps have to do with each other.
    pub arrows: Vec<Arrow>,
}

/// A stretch in which a lane is inside something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Section {
    /// Whose.
    pub lane: u32,
    /// Of what.
    pub kind: SectionKind,
    /// First step inside.
    pub from: usize,
    /// First step outside.
    pub to: usize,
}

/// What a lane can be inside of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SectionKind {
    /// `rcu_read_lock`.
    Rcu,
    /// `rcu_read_lock_trace`.
    RcuTasksTrace,
    /// A lock.
    Lock,
    /// Preemption off.
    PreemptionOff,
}

/// A free that waits for readers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GraceWait {
    /// Index into [`Timeline::objects`].
    pub object: usize,
    /// Since when.
    pub from: usize,
    /// From when on no reader is left, so that it may end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ripe: Option<usize>,
    /// When it ended; `None` if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<usize>,
}

/// An object's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ObjectLife {
    /// What it is.
    pub name: String,
    /// Its states in order.
    pub spans: Vec<Span>,
}

/// A stretch in which an object is in one state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// First step.
    pub from: usize,
    /// First step after it.
    pub to: usize,
    /// Which.
    pub state: Stage,
    /// By whom, or where.
    pub detail: String,
}

/// What one step has to do with an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Arrow {
    /// The earlier step.
    pub from: usize,
    /// The later one.
    pub to: usize,
    /// What.
    pub text: String,
}
