//! The graph of explored states: what the verifier followed, path by path, with what it knew before each instruction.
//!
//! [`StateGraph::of`] makes it of a recorded tree of paths. A node is a straight run of instructions; an edge is the branch that was
//! taken, or leads from where a path ended because an earlier state covers it to that state. [`dot`](super::dot) and
//! [`mermaid`](super::mermaid) draw it.

use rustc_hash::FxHashMap;

use super::place::Names;
use crate::isa::disassemble;
use crate::object::{Object, Program};
use crate::verifier::Verification;
use crate::verifier::path::{Came, Event, FrameShown, Recorded, Snapshot, Step};

/// How a node ends, if no edge leads on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The program is refused there; why.
    Rejected(String),
    /// Something is not modelled; what.
    Unsupported(String),
    /// More was followed, and is left out.
    Cut,
}

/// A straight run of instructions on the paths that the verifier followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateNode {
    /// What is known before its first instruction, then each instruction with what it changed, as the log prints them.
    pub lines: Vec<String>,
    /// Does a function start here that is verified on its own?
    pub is_entry: bool,
    /// How it ends.
    pub ending: Option<Ending>,
}

/// An edge between nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateEdge {
    /// From this node.
    pub from: usize,
    /// To that one.
    pub to: usize,
    /// The branch that was taken, if there was one.
    pub label: Option<String>,
    /// Does the path end, because the state that it leads to covers it?
    pub covered: bool,
}

/// The graph of explored states of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateGraph {
    /// The program.
    pub name: String,
    /// The nodes, in the order in which the verifier came to them.
    pub nodes: Vec<StateNode>,
    /// The edges.
    pub edges: Vec<StateEdge>,
    /// Instructions that are shown.
    pub steps: usize,
    /// Was more followed than is shown?
    pub cut: bool,
}

/// One instruction, executed once: with a step for each way that led on from it.
struct Group {
    steps: Vec<usize>,
    node: usize,
}

/// The recorded steps, by what belongs together.
struct Groups<'a> {
    steps: &'a [Step],
    groups: Vec<Group>,
    /// The group of each step.
    of_step: Vec<usize>,
    /// The groups that follow each step.
    behind: FxHashMap<usize, Vec<usize>>,
}

impl<'a> Groups<'a> {
    fn of(recorded: &'a Recorded) -> Groups<'a> {
        let steps = &recorded.steps;
        let mut found = Groups { steps, groups: Vec::new(), of_step: Vec::new(), behind: FxHashMap::default() };
        let mut known: FxHashMap<(Option<usize>, usize, Came), usize> = FxHashMap::default();
        for (number, step) in steps.iter().enumerate() {
            let group = *known.entry((step.parent, step.insn, step.came)).or_insert_with(|| {
                found.groups.push(Group { steps: Vec::new(), node: 0 });
                let group = found.groups.len() - 1;
                if let Some(parent) = step.parent {
                    found.behind.entry(parent).or_default().push(group);
                }
                group
            });
            found.groups[group].steps.push(number);
            found.of_step.push(group);
        }
        found
    }

    fn behind(&self, step: usize) -> &[usize] {
        self.behind.get(&step).map_or(&[], Vec::as_slice)
    }

    fn step(&self, number: usize) -> &'a Step {
        &self.steps[number]
    }

    fn first(&self, group: usize) -> usize {
        self.groups[group].steps[0]
    }

    /// The group that alone goes on behind this one, if there is nothing to choose.
    fn only_next(&self, group: usize) -> Option<usize> {
        let [step] = self.groups[group].steps[..] else { return None };
        let [next] = self.behind(step)[..] else { return None };
        Some(next).filter(|_| branch(self.step(step)).is_none())
    }
}

impl StateGraph {
    /// The graph of a verification whose paths were all recorded, as far as they were; empty if none were.
    #[must_use]
    pub fn of(object: &Object, program: &Program, verification: &Verification) -> StateGraph {
        let none = Recorded::default();
        let recorded = verification.path.as_ref().unwrap_or(&none);
        let mut graph = StateGraph {
            name: program.name.clone(),
            nodes: Vec::new(),
            edges: Vec::new(),
            steps: recorded.steps.len(),
            cut: recorded.cut,
        };
        let mut groups = Groups::of(recorded);
        let covering: Vec<usize> =
            recorded.steps.iter().filter_map(covered_by).filter_map(|step| groups.of_step.get(step).copied()).collect();
        graph.add_nodes(&mut groups, &covering, object, program);
        graph.add_edges(&groups);
        graph
    }

    /// Puts each group into a node: into that of the group before it where nothing comes between.
    fn add_nodes(&mut self, groups: &mut Groups<'_>, covering: &[usize], object: &Object, program: &Program) {
        for group in 0..groups.groups.len() {
            let first = groups.first(group);
            let step = groups.step(first);
            let before = step.parent.map(|parent| groups.of_step[parent]);
            let joined = before.filter(|&before| groups.only_next(before) == Some(group) && !covering.contains(&group));
            let node = match joined {
                Some(before) => groups.groups[before].node,
                None => {
                    let is_entry = step.parent.is_none();
                    self.nodes.push(StateNode { lines: vec![state_text(&step.before)], is_entry, ending: None });
                    self.nodes.len() - 1
                }
            };
            groups.groups[group].node = node;
            self.nodes[node].lines.push(insn_text(groups, group, object, program));
        }
    }

    fn add_edges(&mut self, groups: &Groups<'_>) {
        for group in &groups.groups {
            for &number in &group.steps {
                let step = groups.step(number);
                let next = groups.behind(number);
                for &next in next.iter().filter(|&&next| groups.groups[next].node != group.node) {
                    let to = groups.groups[next].node;
                    self.edges.push(StateEdge { from: group.node, to, label: branch(step), covered: false });
                }
                if next.is_empty() {
                    self.add_end(groups, group.node, step);
                }
            }
        }
    }

    fn add_end(&mut self, groups: &Groups<'_>, node: usize, step: &Step) {
        let mut ended = false;
        for event in &step.events {
            ended |= matches!(event, Event::PathEnds | Event::Pruned { .. });
            match event {
                Event::Rejected { reason, .. } => self.nodes[node].ending = Some(Ending::Rejected(reason.clone())),
                Event::Unsupported { what } => self.nodes[node].ending = Some(Ending::Unsupported(what.clone())),
                _ => {}
            }
        }
        if let Some(group) = covered_by(step).and_then(|by| groups.of_step.get(by)) {
            let to = groups.groups[*group].node;
            self.edges.push(StateEdge { from: node, to, label: None, covered: true });
        }
        if !ended && self.nodes[node].ending.is_none() && self.cut {
            self.nodes[node].ending = Some(Ending::Cut);
        }
    }
}

fn covered_by(step: &Step) -> Option<usize> {
    step.events.iter().find_map(|event| match event {
        Event::Pruned { by } => *by,
        _ => None,
    })
}

/// The choice that a step made, if it made one.
fn branch(step: &Step) -> Option<String> {
    step.events.iter().find_map(|event| match event {
        Event::Branch { condition, taken: true, .. } => Some(condition.clone()),
        Event::Branch { .. } => Some("else".to_owned()),
        _ => None,
    })
}

/// An instruction, with what it changed if that is the same on each way.
fn insn_text(groups: &Groups<'_>, group: usize, object: &Object, program: &Program) -> String {
    let first = groups.first(group);
    let step = groups.step(first);
    let slot = |insn: usize| program.insns.get(insn).copied();
    let text = slot(step.insn).map_or_else(String::new, |raw| disassemble(raw, slot(step.insn + 1), &Names(object)));
    let mut line = format!("{}: {text}", step.insn);
    if step.events.iter().any(|event| matches!(event, Event::Pruned { .. })) {
        line.push_str(" ; covered by what was followed before");
    } else if step.events.contains(&Event::PathEnds) {
        line.push_str(" ; the path ends");
    }
    if let Some(next) = groups.only_next(group) {
        let changed = changes(&step.before, &groups.step(groups.first(next)).before);
        if !changed.is_empty() {
            line.push_str(&format!(" ; {changed}"));
        }
    }
    line
}

/// All that is known.
fn state_text(state: &Snapshot) -> String {
    let mut parts = Vec::new();
    for frame in &state.frames {
        if frame.number > 0 {
            parts.push(format!("frame{}:", frame.number));
        }
        parts.extend(places(frame).map(|(place, text)| format!("{place}={text}")));
    }
    parts.extend(held(state));
    parts.join(" ")
}

/// What is known after an instruction and was not so before.
fn changes(before: &Snapshot, after: &Snapshot) -> String {
    let mut parts = Vec::new();
    for (number, frame) in after.frames.iter().enumerate() {
        let old = before.frames.get(number);
        let is_new = |place: &str, text: &str| {
            !old.is_some_and(|old| places(old).any(|(other, value)| other == place && value == text))
        };
        let new: Vec<String> = places(frame)
            .filter(|(place, text)| is_new(place, text))
            .map(|(place, text)| format!("{place}={text}"))
            .collect();
        if !new.is_empty() && frame.number > 0 {
            parts.push(format!("frame{}:", frame.number));
        }
        parts.extend(new);
    }
    let (old, new) = (held(before), held(after));
    parts.extend(new.into_iter().filter(|part| !old.contains(part)));
    parts.join(" ")
}

/// The registers and slots of a frame that hold something, by the log's names.
fn places(frame: &FrameShown) -> impl Iterator<Item = (String, &str)> {
    let registers = frame.registers.iter().map(|(register, text)| (format!("R{}", register.index()), &**text));
    registers.chain(frame.slots.iter().map(|(offset, text)| (format!("fp{offset}"), &**text)))
}

/// References, lock and sections.
fn held(state: &Snapshot) -> Vec<String> {
    let ids: Vec<String> = state.references.iter().map(|reference| reference.entry.id.to_string()).collect();
    let refs = (!ids.is_empty()).then(|| format!("refs={}", ids.join(",")));
    let lock = state.lock.is_some().then(|| "lock".to_owned());
    let rcu = state.rcu.then(|| "rcu".to_owned());
    let preempt = (state.preempt > 0).then(|| format!("preempt={}", state.preempt));
    refs.into_iter().chain(lock).chain(rcu).chain(preempt).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Profile;
    use crate::verifier::{ObjectVerifier, Options, Record};

    const COUNTER: &[u8] = include_bytes!("../../../examples/percpu_counter.bpf.o");

    fn graph(program: &str, steps: usize) -> StateGraph {
        let profile = Profile::embedded();
        let object = Object::parse("counter", COUNTER, &profile.load_options()).expect("it loads");
        let program = object.programs.iter().find(|one| one.name == program).expect("it is there");
        let options = Options { record: Record::Tree { steps }, ..Options::default() };
        let verification = ObjectVerifier::new(&object, &profile, options).verify(program);
        StateGraph::of(&object, program, &verification)
    }

    #[test]
    fn every_instruction_is_in_a_node_and_every_node_is_reached() {
        let graph = graph("sum", 10_000);
        assert!(!graph.cut && graph.nodes.len() > 3);
        for (number, node) in graph.nodes.iter().enumerate() {
            let into = graph.edges.iter().filter(|edge| edge.to == number && !edge.covered).count();
            assert_eq!(into, usize::from(!node.is_entry), "{number}: {node:?}");
            assert_eq!(node.ending, None);
        }
        assert!(graph.edges.iter().any(|edge| edge.covered), "a loop's path is covered by an earlier one");
        assert!(graph.edges.iter().all(|edge| !edge.covered || edge.to != edge.from));
    }

    #[test]
    fn a_cut_graph_says_where() {
        let graph = graph("sum", 12);
        assert!(graph.cut);
        assert_eq!(graph.steps, 12);
        assert!(graph.nodes.iter().any(|node| node.ending == Some(Ending::Cut)));
    }
}
