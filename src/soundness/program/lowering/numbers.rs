//! Numbers: constants, unknown ones, arithmetic.

use super::{Lowering, r};
use crate::isa::{AluOp, Endian, ImmediateSource, Insn, Operand, Size, Width};
use crate::soundness::program::model::{Pick, Source, Statement, Whole};

/// `bpf_get_prandom_u32`.
const GET_PRANDOM_U32: i32 = 7;

impl Lowering {
    pub(super) fn number_statement(&mut self, statement: &Statement) {
        match *statement {
            Statement::Constant { dst, value } => self.load_constant(dst, value),
            Statement::Random { dst } => self.random(dst),
            Statement::Context { field, dst } => self.context_number(field, dst),
            Statement::Alu { op, width, dst, src } => self.arithmetic(op, width, dst, src),
            Statement::Unary { op, dst, src } => self.unary(op, dst, src),
            _ => {}
        }
    }

    fn load_constant(&mut self, dst: Pick, value: i64) {
        let dst = self.destination(dst);
        self.current.statement(format!("r{dst} = {value}"));
        match i32::try_from(value) {
            Ok(value) => self.constant(dst, value),
            Err(_) => {
                self.push(Insn::LoadImmediate { dst: r(dst), source: ImmediateSource::Value(value as u64) });
            }
        }
        self.env.set_number(dst);
    }

    fn random(&mut self, dst: Pick) {
        let dst = self.destination(dst);
        if self.locked {
            return;
        }
        self.current.statement(format!("r{dst} = random"));
        self.helper(GET_PRANDOM_U32);
        self.mov(dst, 0);
        self.env.set_number(0);
        self.env.set_number(dst);
    }

    fn context_number(&mut self, field: Pick, dst: Pick) {
        let (Some((offset, name)), Some(slot)) = (field.of(self.kind.context_fields()), self.context) else {
            return self.random(dst);
        };
        let dst = self.destination(dst);
        self.current.statement(format!("r{dst} = context.{name}"));
        let spare = self.temporary(&[]);
        self.fill(spare, slot);
        self.push(Insn::Load { size: Size::B4, signed: false, dst: r(dst), src: r(spare), offset });
        self.env.set_number(dst);
    }

    fn arithmetic(&mut self, op: AluOp, width: Width, dst: Pick, src: Source) {
        let (dst, src) = if op == AluOp::Mov {
            let src = self.operand(src);
            (self.destination(dst), src)
        } else {
            let dst = self.number(dst);
            (dst, self.operand(src))
        };
        let src = valid_operand(op, width, src);
        let name = if width == Width::W64 { "r" } else { "w" };
        self.current.statement(format!("{name}{dst} {} {src}", op.sign()));
        self.alu(op, width, dst, src);
        self.env.set_number(dst);
    }

    fn unary(&mut self, op: Whole, dst: Pick, src: Pick) {
        let insn = match op {
            Whole::Sign(width, from) => {
                let src = self.number(src);
                let dst = self.destination(dst);
                let from = match (from, width) {
                    (Size::B8, _) | (Size::B4, Width::W32) => Size::B2,
                    (from, _) => from,
                };
                self.env.set_number(dst);
                self.current.statement(format!("r{dst} = (s{})r{src}", from.bits()));
                Insn::MoveSignExtended { width, from, dst: r(dst), src: r(src) }
            }
            Whole::Swap(endian, size) => {
                let dst = self.number(dst);
                let size = if size == Size::B1 { Size::B2 } else { size };
                let name = match endian {
                    Endian::ToLittle => "le",
                    Endian::ToBig => "be",
                    Endian::Swap => "bswap",
                };
                self.current.statement(format!("r{dst} = {name}{} r{dst}", size.bits()));
                Insn::ByteSwap { dst: r(dst), endian, size }
            }
            Whole::Negate(width) => {
                let dst = self.number(dst);
                self.current.statement(format!("r{dst} = -r{dst}"));
                Insn::Alu { width, op: AluOp::Neg, dst: r(dst), src: Operand::Immediate(0) }
            }
        };
        self.push(insn);
    }
}

/// Constants by which nothing can be divided or shifted become others.
fn valid_operand(op: AluOp, width: Width, src: Operand) -> Operand {
    let Operand::Immediate(value) = src else { return src };
    let bits = if width == Width::W64 { 64 } else { 32 };
    Operand::Immediate(match op {
        AluOp::LeftShift | AluOp::RightShift | AluOp::ArithmeticRightShift => value.rem_euclid(bits),
        AluOp::Div | AluOp::SignedDiv | AluOp::Mod | AluOp::SignedMod if value == 0 => 1,
        _ => value,
    })
}
