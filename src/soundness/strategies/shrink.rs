//! Shrinking: fewer statements, flatter, with smaller numbers.
//!
//! A program has a list of edits: for each statement, from the first on, to take it out, to put its body in its place,
//! and to make something in it simpler; then to do without each mutation. They are tried in order, those that keep
//! the failure are kept, until a whole round changes nothing.

use proptest::strategy::ValueTree;

use crate::soundness::program::{
    Access, Condition, Cpu, End, Loop, Mutation, NodeEnd, Pick, Program, Source, Statement,
};

/// A program and what is left to try with it.
#[derive(Clone, Debug)]
pub struct ProgramTree {
    current: Program,
    /// What `current` was before the edit that is being tried.
    before: Option<Program>,
    /// The edit to try next.
    next: usize,
    /// Did this round change anything?
    changed: bool,
}

impl ProgramTree {
    /// A program, to be shrunk.
    #[must_use]
    pub fn new(program: Program) -> Self {
        ProgramTree { current: program, before: None, next: 0, changed: false }
    }

    /// Goes on to the next edit that changes something.
    fn try_next(&mut self) -> bool {
        loop {
            let Some(edited) = edit(&self.current, self.next) else {
                if !std::mem::take(&mut self.changed) {
                    return false;
                }
                self.next = 0;
                continue;
            };
            if edited != self.current {
                self.before = Some(std::mem::replace(&mut self.current, edited));
                return true;
            }
            self.next += 1;
        }
    }
}

impl ValueTree for ProgramTree {
    type Value = Program;

    fn current(&self) -> Program {
        self.current.clone()
    }

    fn simplify(&mut self) -> bool {
        // The edit that was tried is kept; what is now in its place is the next to try.
        self.changed |= self.before.take().is_some();
        self.try_next()
    }

    fn complicate(&mut self) -> bool {
        let Some(before) = self.before.take() else { return false };
        self.current = before;
        self.next += 1;
        self.try_next()
    }
}

/// The program after its edit of that number, from 0 on, which may change nothing; `None` past the last one.
///
/// An edit changes nothing in front of the place where it is made, so that several can be made together, the last first.
#[must_use]
pub fn edit(program: &Program, number: usize) -> Option<Program> {
    let mut edited = program.clone();
    let mut number = number;
    if number < edited.mutations.len() {
        edited.mutations.remove(number);
        return Some(edited);
    }
    number -= edited.mutations.len();
    if number < edited.mutations.len() {
        let mutation = &mut edited.mutations[number];
        *mutation = Mutation { value: 0, ..*mutation };
        return Some(edited);
    }
    number -= edited.mutations.len();
    edit_block(&mut edited.body, &mut number).then_some(edited)
}

/// Counts down to the edit within a block, and makes it.
fn edit_block(block: &mut Vec<Statement>, number: &mut usize) -> bool {
    let mut index = 0;
    while index < block.len() {
        if *number == 0 {
            block.remove(index);
            return true;
        }
        *number -= 1;
        if has_blocks(&block[index]) {
            if *number == 0 {
                let bodies = block[index].blocks_mut().into_iter().map(std::mem::take);
                let inner: Vec<Statement> = bodies.flatten().collect();
                block.splice(index..=index, inner);
                return true;
            }
            *number -= 1;
        }
        let mut simpler = simpler(&block[index]);
        if *number < simpler.len() {
            block[index] = simpler.swap_remove(*number);
            return true;
        }
        *number -= simpler.len();
        for inner in block[index].blocks_mut() {
            if edit_block(inner, number) {
                return true;
            }
        }
        index += 1;
    }
    false
}

fn has_blocks(statement: &Statement) -> bool {
    !statement.blocks().is_empty()
}

/// Simpler forms of a statement, bodies aside; some may be the same as it is.
fn simpler(statement: &Statement) -> Vec<Statement> {
    let mut forms = Vec::new();
    let mut form = |change: &dyn Fn(&mut Statement)| {
        let mut changed = statement.clone();
        change(&mut changed);
        forms.push(changed);
    };
    form(&|statement| picks_mut(statement).into_iter().for_each(|pick| *pick = Pick(0)));
    let picks = picks_mut(&mut statement.clone()).len();
    for index in 0..picks {
        form(&|statement| {
            if let Some(pick) = picks_mut(statement).into_iter().nth(index) {
                *pick = Pick(pick.0 / 2);
            }
        });
    }
    for change in [zero, halve] {
        form(&move |statement| numbers_mut(statement, change));
    }
    form(&plainer);
    forms
}

fn zero(_: i64) -> i64 {
    0
}

fn halve(number: i64) -> i64 {
    number / 2
}

fn source_mut<'a>(source: &'a mut Source, picks: &mut Vec<&'a mut Pick>) {
    if let Source::Register(pick) = source {
        picks.push(pick);
    }
}

fn access_mut<'a>(access: &'a mut Access, picks: &mut Vec<&'a mut Pick>) {
    match access {
        Access::Load { dst, .. } => picks.push(dst),
        Access::Store(source) => source_mut(source, picks),
        Access::Atomic(_, pick) => picks.push(pick),
    }
}

fn end_mut<'a>(end: &'a mut End, picks: &mut Vec<&'a mut Pick>) {
    if let End::Publish(pick) = end {
        picks.push(pick);
    }
}

fn node_end_mut<'a>(end: &'a mut NodeEnd, picks: &mut Vec<&'a mut Pick>) {
    match end {
        NodeEnd::Object(end) => end_mut(end, picks),
        NodeEnd::Push(pick, _) | NodeEnd::Insert(pick) => picks.push(pick),
    }
}

/// Every choice that a statement holds itself.
fn picks_mut(statement: &mut Statement) -> Vec<&mut Pick> {
    let mut picks = Vec::new();
    match statement {
        Statement::Constant { dst, .. } | Statement::Random { dst } => picks.push(dst),
        Statement::Context { field, dst } => picks.extend([field, dst]),
        Statement::Alu { dst, src, .. } => {
            picks.push(dst);
            source_mut(src, &mut picks);
        }
        Statement::Unary { dst, src, .. } => picks.extend([dst, src]),
        Statement::If { condition: Condition { left, right, .. }, .. } => {
            picks.push(left);
            source_mut(right, &mut picks);
        }
        Statement::Spill { at, src, .. } => {
            picks.push(at);
            source_mut(src, &mut picks);
        }
        Statement::Fill { at, dst, .. } => picks.extend([at, dst]),
        Statement::StackIndex { index, access } => {
            picks.push(index);
            access_mut(access, &mut picks);
        }
        Statement::Lookup { key, home, .. } => {
            picks.push(home);
            source_mut(key, &mut picks);
        }
        Statement::Update { key } | Statement::Delete { key } => source_mut(key, &mut picks),
        Statement::Memory { pointer, field, access } => {
            picks.extend([pointer, field]);
            access_mut(access, &mut picks);
        }
        Statement::Index { pointer, index, access, .. } => {
            picks.extend([pointer, index]);
            access_mut(access, &mut picks);
        }
        Statement::Fetch { pointer, size, .. } => {
            picks.extend(pointer);
            source_mut(size, &mut picks);
        }
        Statement::Packet { home, .. } => picks.push(home),
        Statement::PacketAt { offset, home, .. } => picks.extend([offset, home]),
        Statement::PercpuNew { home, end, .. } => {
            picks.push(home);
            end_mut(end, &mut picks);
        }
        Statement::NodeNew { home, end, .. } => {
            picks.push(home);
            node_end_mut(end, &mut picks);
        }
        Statement::TakePercpu { slot, home, end, .. } => {
            picks.extend([slot, home]);
            end_mut(end, &mut picks);
        }
        Statement::TakeNode { slot, home, end, .. } => {
            picks.extend([slot, home]);
            node_end_mut(end, &mut picks);
        }
        Statement::BorrowPercpu { slot, home, .. } | Statement::BorrowNode { slot, home, .. } => {
            picks.extend([slot, home]);
        }
        Statement::Copy { object, cpu, home, .. } => {
            picks.extend([object, home]);
            if let Cpu::Number(source) = cpu {
                source_mut(source, &mut picks);
            }
        }
        Statement::Acquire { node, home, end, .. } => {
            picks.extend([node, home]);
            node_end_mut(end, &mut picks);
        }
        Statement::Pop { graph, home, end, .. } | Statement::Remove { graph, home, end, .. } => {
            picks.extend([graph, home]);
            node_end_mut(end, &mut picks);
        }
        Statement::Locked { graph, .. } => picks.push(graph),
        Statement::Kfunc { numbers, objects, home, .. } => {
            picks.extend([objects, home]);
            numbers.iter_mut().for_each(|number| source_mut(number, &mut picks));
        }
        Statement::Return { value } => source_mut(value, &mut picks),
        Statement::Loop { .. } | Statement::Rcu { .. } => {}
    }
    picks
}

/// Changes every number that a statement holds itself.
fn numbers_mut(statement: &mut Statement, change: impl Fn(i64) -> i64) {
    let source = match statement {
        Statement::Constant { value, .. } => return *value = change(*value),
        Statement::Loop { kind: Loop::Counted(times), .. } => return *times = change(i64::from(*times)) as u8,
        Statement::Loop { kind: Loop::Callback(times), .. } => return *times = change(i64::from(*times)) as u16,
        Statement::Loop { kind: Loop::Iterator(start, end), .. } => {
            (*start, *end) = (change(i64::from(*start)) as i16, change(i64::from(*end)) as i16);
            return;
        }
        Statement::Packet { bytes, .. } | Statement::PacketAt { bytes, .. } => {
            return *bytes = change(i64::from(*bytes)) as u8;
        }
        Statement::Alu { src, .. } | Statement::Spill { src, .. } => src,
        Statement::If { condition, .. } => &mut condition.right,
        Statement::Lookup { key, .. } | Statement::Update { key } | Statement::Delete { key } => key,
        Statement::Memory { access: Access::Store(source), .. }
        | Statement::Index { access: Access::Store(source), .. }
        | Statement::StackIndex { access: Access::Store(source), .. }
        | Statement::Return { value: source }
        | Statement::Fetch { size: source, .. }
        | Statement::Copy { cpu: Cpu::Number(source), .. } => source,
        _ => return,
    };
    if let Source::Constant(value) = source {
        *value = change(i64::from(*value)) as i32;
    }
}

/// Less of what needs a second thought: registers become constants, objects are given back, branches have no else.
fn plainer(statement: &mut Statement) {
    match statement {
        Statement::Alu { src, .. } | Statement::Spill { src, .. } => *src = Source::Constant(0),
        Statement::Lookup { key, .. } | Statement::Update { key } | Statement::Delete { key } => {
            *key = Source::Constant(0);
        }
        Statement::If { condition, .. } => condition.right = Source::Constant(0),
        Statement::PercpuNew { end, .. } | Statement::TakePercpu { end, .. } => *end = End::Drop,
        Statement::NodeNew { end, .. }
        | Statement::TakeNode { end, .. }
        | Statement::Acquire { end, .. }
        | Statement::Pop { end, .. }
        | Statement::Remove { end, .. } => *end = NodeEnd::Object(End::Drop),
        Statement::Memory { access, .. } | Statement::Index { access, .. } | Statement::StackIndex { access, .. } => {
            *access = Access::Load { dst: Pick(0), signed: false };
        }
        Statement::Copy { cpu, .. } => *cpu = Cpu::This,
        Statement::Fetch { pointer, .. } => *pointer = None,
        Statement::Kfunc { numbers, .. } => *numbers = [Source::Constant(0); 5],
        Statement::Random { dst } => *statement = Statement::Constant { dst: *dst, value: 0 },
        _ => {}
    }
}
