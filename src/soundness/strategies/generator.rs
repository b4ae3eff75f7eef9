//! One program, drawn from the top.
//!
//! What is at hand (a map value, an object, a packet) is followed loosely, only to draw statements that will find what they
//! need; lowering decides what they mean.

use std::sync::Arc;

use super::Config;
use super::draw::Draw;
use crate::isa::{AluOp, AtomicOp, Endian, JumpOp, Size, Width};
use crate::soundness::program::universe::MapName;
use crate::soundness::program::{
    Access, Condition, Cpu, End, Loop, Mutation, NodeEnd, Outcome, Program, ProgramKind, Source, Statement, Whole,
};

/// How often statements of each family are drawn, relative to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    /// Constants, unknown numbers, operations on them.
    pub arithmetic: u32,
    /// Branches.
    pub branches: u32,
    /// Loops of all sorts.
    pub loops: u32,
    /// Spills, fills, accesses at unknown offsets.
    pub stack: u32,
    /// Look-ups, updates, accesses to values.
    pub maps: u32,
    /// Packet data.
    pub packets: u32,
    /// Per-CPU objects.
    pub percpu: u32,
    /// Other objects and their reference counts.
    pub objects: u32,
    /// Lists, trees and locks.
    pub graphs: u32,
    /// Kernel functions of the user's own, where the config has some.
    pub kfuncs: u32,
    /// Early ends.
    pub returns: u32,
}

impl Default for Families {
    fn default() -> Self {
        Families {
            arithmetic: 30,
            branches: 10,
            loops: 4,
            stack: 12,
            maps: 14,
            packets: 8,
            percpu: 12,
            objects: 8,
            graphs: 8,
            kfuncs: 20,
            returns: 1,
        }
    }
}

impl Families {
    /// None at all, to add to.
    pub const NONE: Families = Families {
        arithmetic: 0,
        branches: 0,
        loops: 0,
        stack: 0,
        maps: 0,
        packets: 0,
        percpu: 0,
        objects: 0,
        graphs: 0,
        kfuncs: 0,
        returns: 0,
    };

    /// Numbers only: arithmetic, branches, stack, maps and packets.
    pub const NUMBERS: Families =
        Families { arithmetic: 30, branches: 12, stack: 12, maps: 12, packets: 8, ..Families::NONE };

    /// Ownership above all.
    pub const OWNERSHIP: Families = Families {
        arithmetic: 6,
        branches: 5,
        loops: 2,
        stack: 3,
        maps: 8,
        packets: 0,
        percpu: 30,
        objects: 20,
        graphs: 20,
        kfuncs: 20,
        returns: 1,
    };

    /// With their family.
    fn weights(self) -> [(Family, u32); 11] {
        [
            (Family::Arithmetic, self.arithmetic),
            (Family::Branches, self.branches),
            (Family::Loops, self.loops),
            (Family::Stack, self.stack),
            (Family::Maps, self.maps),
            (Family::Packets, self.packets),
            (Family::Percpu, self.percpu),
            (Family::Objects, self.objects),
            (Family::Graphs, self.graphs),
            (Family::Kfuncs, self.kfuncs),
            (Family::Returns, self.returns),
        ]
    }
}

#[derive(Clone, Copy)]
enum Family {
    Arithmetic,
    Branches,
    Loops,
    Stack,
    Maps,
    Packets,
    Percpu,
    Objects,
    Graphs,
    Kfuncs,
    Returns,
}

const ALU: [AluOp; 14] = [
    AluOp::Add,
    AluOp::Sub,
    AluOp::Mul,
    AluOp::Div,
    AluOp::SignedDiv,
    AluOp::Or,
    AluOp::And,
    AluOp::LeftShift,
    AluOp::RightShift,
    AluOp::Mod,
    AluOp::SignedMod,
    AluOp::Xor,
    AluOp::Mov,
    AluOp::ArithmeticRightShift,
];

const SIZES: [Size; 4] = [Size::B1, Size::B2, Size::B4, Size::B8];

const ATOMICS: [AtomicOp; 10] = [
    AtomicOp::Add { fetch: false },
    AtomicOp::Add { fetch: true },
    AtomicOp::Or { fetch: false },
    AtomicOp::Or { fetch: true },
    AtomicOp::And { fetch: false },
    AtomicOp::And { fetch: true },
    AtomicOp::Xor { fetch: false },
    AtomicOp::Xor { fetch: true },
    AtomicOp::Exchange,
    AtomicOp::CompareExchange,
];

/// What is at hand, by how many of each.
#[derive(Clone, Copy, Default)]
struct AtHand {
    values: u32,
    slots: u32,
    graphs: u32,
    nodes: u32,
    borrowed_percpu: u32,
    /// Anything that can be read and written.
    memory: u32,
    in_loop: bool,
}

pub(super) struct Generator<'a> {
    config: &'a Config,
    draw: Draw<'a>,
    kind: ProgramKind,
    left: usize,
    at_hand: AtHand,
}

impl<'a> Generator<'a> {
    pub(super) fn new(config: &'a Config, draw: Draw<'a>) -> Self {
        Generator { config, draw, kind: ProgramKind::Tc, left: 0, at_hand: AtHand::default() }
    }

    pub(super) fn program(mut self) -> Program {
        if !self.config.kinds.is_empty() {
            self.kind = self.draw.one(&self.config.kinds);
        }
        self.left = 1 + self.draw.below(self.config.statements as u32) as usize;
        let mut body = Vec::new();
        // Something to compute with.
        for _ in 0..self.draw.below(4) {
            body.push(self.origin());
        }
        while self.left > 0 {
            body.push(self.statement(0));
        }
        let (least, most) = self.config.mutations;
        let count = least + self.draw.below((most.saturating_sub(least) + 1) as u32) as usize;
        let mutations = (0..count).filter_map(|_| self.mutation()).collect();
        Program { kind: self.kind, body, mutations }
    }

    fn mutation(&mut self) -> Option<Mutation> {
        if self.config.mutation_kinds.is_empty() {
            return None;
        }
        let kind = self.draw.one(&self.config.mutation_kinds);
        Some(Mutation { kind, site: self.draw.bits() as u16, value: self.draw.bits() as u8 })
    }

    fn statement(&mut self, depth: u32) -> Statement {
        self.left = self.left.saturating_sub(1);
        let leaf = depth >= self.config.depth || self.left == 0;
        let ownership = self.kind.owns_objects() && !leaf;
        let weights = self.config.families.weights().map(|(family, weight)| {
            let possible = match family {
                Family::Branches | Family::Loops => !leaf,
                Family::Packets => !leaf && self.kind.packet().is_some(),
                Family::Kfuncs => !leaf && !self.config.kfuncs.is_empty(),
                Family::Percpu | Family::Objects | Family::Graphs => ownership,
                _ => true,
            };
            (family, if possible { weight } else { 0 })
        });
        let total: u32 = weights.iter().map(|(_, weight)| weight).sum();
        let mut at = self.draw.below(total);
        let mut family = Family::Arithmetic;
        for (candidate, weight) in weights {
            if at < weight {
                family = candidate;
                break;
            }
            at -= weight;
        }
        // Memory at hand is there to be used.
        if self.at_hand.memory > 0 && self.draw.chance(25) {
            return self.access_memory();
        }
        // So is a per-CPU object, of which only copies are.
        if ownership && self.at_hand.borrowed_percpu > 0 && self.draw.chance(35) {
            return self.copy(depth);
        }
        match family {
            Family::Arithmetic => self.arithmetic(),
            Family::Branches => self.branch(depth),
            Family::Loops => self.repeat(depth),
            Family::Stack => self.stack(),
            Family::Maps => self.map(depth, leaf),
            Family::Packets => self.packet(depth),
            Family::Percpu => self.percpu(depth),
            Family::Objects => self.object(depth),
            Family::Graphs => self.graph(depth),
            Family::Kfuncs => self.kfunc(depth),
            Family::Returns => Statement::Return { value: self.source() },
        }
    }

    /// A body of a few statements with something more at hand.
    fn body(&mut self, depth: u32, more: impl FnOnce(&mut AtHand)) -> Vec<Statement> {
        let before = self.at_hand;
        more(&mut self.at_hand);
        let count = (1 + self.draw.below(4)) as usize;
        let mut body = Vec::new();
        while body.len() < count && self.left > 0 {
            body.push(self.statement(depth + 1));
        }
        self.at_hand = before;
        body
    }

    fn source(&mut self) -> Source {
        if self.draw.chance(50) {
            Source::Register(self.draw.pick())
        } else {
            Source::Constant(self.draw.small_number())
        }
    }

    fn width(&mut self) -> Width {
        if self.draw.chance(35) { Width::W32 } else { Width::W64 }
    }

    fn origin(&mut self) -> Statement {
        let dst = self.draw.pick();
        match self.draw.below(4) {
            0 => Statement::Constant { dst, value: self.draw.number() },
            1 => Statement::Context { field: self.draw.pick(), dst },
            _ => Statement::Random { dst },
        }
    }

    fn arithmetic(&mut self) -> Statement {
        match self.draw.below(10) {
            0 | 1 => self.origin(),
            2 => self.unary(),
            // What brings a number into bounds.
            3 => Statement::Alu {
                op: self.draw.one(&[AluOp::And, AluOp::Mod, AluOp::RightShift]),
                width: self.width(),
                dst: self.draw.pick(),
                src: Source::Constant(self.draw.one(&[1, 3, 7, 8, 15, 31, 60, 63, 255])),
            },
            _ => Statement::Alu {
                op: self.draw.one(&ALU),
                width: self.width(),
                dst: self.draw.pick(),
                src: self.source(),
            },
        }
    }

    fn unary(&mut self) -> Statement {
        let width = self.width();
        let size = self.draw.one(&SIZES);
        let op = match self.draw.below(3) {
            0 => Whole::Sign(width, size),
            1 => Whole::Swap(self.draw.one(&[Endian::ToLittle, Endian::ToBig, Endian::Swap]), size),
            _ => Whole::Negate(width),
        };
        Statement::Unary { op, dst: self.draw.pick(), src: self.draw.pick() }
    }

    fn condition(&mut self) -> Condition {
        Condition { width: self.width(), op: self.draw.one(&JumpOp::ALL), left: self.draw.pick(), right: self.source() }
    }

    fn branch(&mut self, depth: u32) -> Statement {
        let condition = self.condition();
        let then = self.body(depth, |_| {});
        let otherwise = if self.draw.chance(40) { self.body(depth, |_| {}) } else { Vec::new() };
        Statement::If { condition, then, otherwise }
    }

    fn repeat(&mut self, depth: u32) -> Statement {
        let nested = self.at_hand.in_loop;
        let times = self.draw.below(if nested { 3 } else { 6 });
        let kind = match self.draw.below(4) {
            0 => Loop::Counted(times as u8),
            1 => Loop::MayGoto,
            2 => {
                let start = self.draw.below(8) as i16 - 4;
                Loop::Iterator(start, start + times as i16)
            }
            // Kernels lose a callback that never runs as dead code, and then fail to find it (`jit_subprogs`).
            _ => Loop::Callback(1 + times as u16),
        };
        let callback = matches!(kind, Loop::Callback(_));
        let body = self.body(depth, |at_hand| {
            if callback {
                *at_hand = AtHand::default();
            }
            at_hand.in_loop = true;
        });
        Statement::Loop { kind, body }
    }

    fn stack(&mut self) -> Statement {
        let (at, size) = (self.draw.pick(), self.draw.one(&[Size::B8, Size::B8, Size::B4, Size::B2, Size::B1]));
        match self.draw.below(6) {
            0 | 1 => Statement::Spill { at, size, src: self.source() },
            2 | 3 => Statement::Fill { at, size, signed: self.draw.chance(25), dst: self.draw.pick() },
            4 => self.fetch(false),
            _ => Statement::StackIndex { index: self.draw.pick(), access: self.access() },
        }
    }

    fn access(&mut self) -> Access {
        match self.draw.below(5) {
            0 | 1 => Access::Load { dst: self.draw.pick(), signed: self.draw.chance(20) },
            2 | 3 => Access::Store(self.source()),
            _ => Access::Atomic(self.draw.one(&ATOMICS), self.draw.pick()),
        }
    }

    fn access_memory(&mut self) -> Statement {
        if self.at_hand.values > 0 && self.draw.chance(12) {
            return self.fetch(true);
        }
        let (pointer, access) = (self.draw.pick(), self.access());
        if self.at_hand.values > 0 && self.draw.chance(30) {
            return Statement::Index { pointer, index: self.draw.pick(), mask: self.draw.chance(50), access };
        }
        Statement::Memory { pointer, field: self.draw.pick(), access }
    }

    fn fetch(&mut self, memory: bool) -> Statement {
        let pointer = memory.then(|| self.draw.pick());
        let size = if self.draw.chance(70) { Source::Register(self.draw.pick()) } else { self.source() };
        Statement::Fetch { pointer, size, mask: self.draw.chance(50) }
    }

    fn key(&mut self) -> Source {
        if self.draw.chance(70) { Source::Constant(self.draw.below(5) as i32) } else { self.source() }
    }

    fn map(&mut self, depth: u32, leaf: bool) -> Statement {
        let key = self.key();
        if leaf || self.draw.chance(15) {
            return if self.draw.chance(60) { Statement::Update { key } } else { Statement::Delete { key } };
        }
        let map = self.draw.one(&[MapName::Values, MapName::Values, MapName::Hash, MapName::PercpuValues]);
        self.lookup(map, key, depth)
    }

    fn lookup(&mut self, map: MapName, key: Source, depth: u32) -> Statement {
        let home = self.draw.pick();
        let body = self.body(depth, |at_hand| {
            at_hand.memory += 1;
            match map {
                MapName::Slots => at_hand.slots += 1,
                MapName::Graphs => at_hand.graphs += 1,
                _ => at_hand.values += 1,
            }
        });
        Statement::Lookup { map, key, home, body }
    }

    /// A slot, unless one is at hand.
    fn slot(&mut self, depth: u32) -> Option<Statement> {
        if self.at_hand.slots > 0 {
            return None;
        }
        let key = Source::Constant(self.draw.below(2) as i32);
        Some(self.lookup(MapName::Slots, key, depth))
    }

    fn packet(&mut self, depth: u32) -> Statement {
        let bytes = 1 + self.draw.below(24) as u8;
        let (home, offset) = (self.draw.pick(), self.draw.pick());
        let at = self.draw.chance(40);
        let body = self.body(depth, |at_hand| at_hand.memory += 1);
        if at { Statement::PacketAt { offset, bytes, home, body } } else { Statement::Packet { bytes, home, body } }
    }

    fn end(&mut self) -> End {
        if self.at_hand.slots > 0 && self.draw.chance(60) { End::Publish(self.draw.pick()) } else { End::Drop }
    }

    fn node_end(&mut self) -> NodeEnd {
        if self.at_hand.graphs > 0 && self.draw.chance(60) {
            let graph = self.draw.pick();
            return if self.draw.chance(50) {
                NodeEnd::Push(graph, self.draw.chance(50))
            } else {
                NodeEnd::Insert(graph)
            };
        }
        NodeEnd::Object(self.end())
    }

    fn percpu(&mut self, depth: u32) -> Statement {
        let choice = self.draw.below(8);
        if choice > 0
            && let Some(lookup) = self.slot(depth)
        {
            return lookup;
        }
        let (slot, home) = (self.draw.pick(), self.draw.pick());
        match choice {
            0..=2 => {
                let body = self.body(depth, |_| {});
                Statement::PercpuNew { home, body, end: self.end() }
            }
            3 | 4 => {
                let body = self.body(depth, |_| {});
                Statement::TakePercpu { slot, home, body, end: self.end() }
            }
            5 => Statement::Rcu { body: self.body(depth, |_| {}) },
            _ => {
                let body = self.body(depth, |at_hand| at_hand.borrowed_percpu += 1);
                Statement::BorrowPercpu { slot, home, body }
            }
        }
    }

    /// One CPU's copy of a per-CPU object at hand, of which there may be none.
    fn copy(&mut self, depth: u32) -> Statement {
        let cpu = if self.draw.chance(50) { Cpu::This } else { Cpu::Number(self.key()) };
        let (object, home) = (self.draw.pick(), self.draw.pick());
        let body = self.body(depth, |at_hand| at_hand.memory += 1);
        Statement::Copy { object, cpu, home, body }
    }

    fn object(&mut self, depth: u32) -> Statement {
        let home = self.draw.pick();
        if self.at_hand.nodes > 0 && self.draw.chance(40) {
            let node = self.draw.pick();
            let body = self.node_body(depth);
            return Statement::Acquire { node, home, body, end: self.node_end() };
        }
        let choice = self.draw.below(6);
        if choice > 1
            && let Some(lookup) = self.slot(depth)
        {
            return lookup;
        }
        let slot = self.draw.pick();
        let body = self.node_body(depth);
        match choice {
            0..=2 => Statement::NodeNew { home, body, end: self.node_end() },
            3 => Statement::TakeNode { slot, home, body, end: self.node_end() },
            _ => Statement::BorrowNode { slot, home, body },
        }
    }

    fn node_body(&mut self, depth: u32) -> Vec<Statement> {
        self.body(depth, |at_hand| {
            at_hand.memory += 1;
            at_hand.nodes += 1;
        })
    }

    fn kfunc(&mut self, depth: u32) -> Statement {
        let kfunc = Arc::clone(&self.config.kfuncs[self.draw.below(self.config.kfuncs.len() as u32) as usize]);
        let numbers = [(); 5].map(|()| self.source());
        let (objects, home) = (self.draw.pick(), self.draw.pick());
        let returns_object = matches!(kfunc.outcome, Outcome::Object { .. });
        let body = if returns_object { self.body(depth, |_| {}) } else { Vec::new() };
        Statement::Kfunc { kfunc, numbers, objects, home, body }
    }

    fn graph(&mut self, depth: u32) -> Statement {
        // A second pointer to one, so that they can be taken for each other.
        if self.at_hand.graphs == 0 || (self.at_hand.graphs == 1 && self.draw.chance(15)) {
            return self.lookup(MapName::Graphs, Source::Constant(0), depth);
        }
        let (graph, home) = (self.draw.pick(), self.draw.pick());
        match self.draw.below(7) {
            0 | 1 => {
                let body = self.node_body(depth);
                Statement::NodeNew { home, body, end: self.node_end() }
            }
            2 | 3 => {
                let body = self.node_body(depth);
                Statement::Pop { graph, back: self.draw.chance(50), home, body, end: self.node_end() }
            }
            4 | 5 => {
                let body = self.node_body(depth);
                Statement::Remove { graph, home, body, end: self.node_end() }
            }
            _ => Statement::Locked { graph, body: self.body(depth, |_| {}) },
        }
    }
}
