//! What types refer to: everything leads to something of a known size, nothing contains itself, members lie inside
//! their struct (`btf_check_all_types`).
//!
//! A walk, depth first, with its own stack, since the kernel's limit of 32 types on it is a rule. How far a chain is
//! followed depends on what it started from: a pointer's ends at a struct, a struct's at a pointer.

use super::{Externs, MAX_DEPTH, RefusedType, TypeRule};
use crate::btf::table::Btf;
use crate::btf::types::{Composite, Member, Parameter, SectionVariable, Type, TypeId};

/// `BITS_PER_U128`.
const MAX_COPIED_BITS: u32 = 128;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Visit {
    #[default]
    Unseen,
    OnStack,
    Resolved,
}

/// What the chain that is being followed started from (`enum resolve_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Undecided,
    Pointer,
    Contents,
}

/// What looking at a type leads to.
enum Step {
    /// Another type comes first; then the same one again, from that part on.
    First { type_id: TypeId, resume: usize },
    /// It is settled: what it stands for, and an array's size.
    Settled { stands_for: TypeId, size: u32 },
}

struct Resolver<'a> {
    btf: &'a Btf,
    externs: &'a Externs,
    visits: Vec<Visit>,
    /// What a modifier, pointer or variable stands for.
    stands_for: Vec<TypeId>,
    /// Sizes of arrays.
    sizes: Vec<u32>,
    stack: Vec<(TypeId, usize)>,
    mode: Mode,
}

/// Checks all types, in the order of their ids.
pub(super) fn check(btf: &Btf, externs: &Externs) -> Result<(), RefusedType> {
    let mut resolver = Resolver {
        btf,
        externs,
        visits: vec![Visit::Unseen; btf.len()],
        stands_for: vec![TypeId::VOID; btf.len()],
        sizes: vec![0; btf.len()],
        stack: Vec::new(),
        mode: Mode::Undecided,
    };
    for (id, ty) in btf.iter().skip(1) {
        resolver.resolve_if_needed(id)?;
        if let Type::FunctionPrototype { returns, parameters } = ty {
            resolver.check_prototype(id, *returns, parameters)?;
        }
    }
    Ok(())
}

/// Types that only refer to others (`btf_type_is_resolve_source_only`).
fn is_source_only(ty: &Type) -> bool {
    matches!(ty, Type::Variable { .. } | Type::DeclTag { .. } | Type::DataSection { .. })
}

fn is_modifier(ty: &Type) -> bool {
    ty.modified().is_some()
}

fn is_without_size(ty: &Type) -> bool {
    matches!(
        ty,
        Type::Void
            | Type::Forward { .. }
            | Type::Function { .. }
            | Type::FunctionPrototype { .. }
            | Type::DeclTag { .. }
    )
}

fn needs_resolving(ty: &Type) -> bool {
    is_modifier(ty)
        || is_source_only(ty)
        || matches!(
            ty,
            Type::Pointer { .. } | Type::Struct(_) | Type::Union(_) | Type::Array { .. } | Type::Function { .. }
        )
}

fn is_regular_int(ty: &Type) -> bool {
    matches!(ty, Type::Int { bits: 8 | 16 | 32 | 64 | 128, offset: 0, .. })
}

fn settled(stands_for: TypeId) -> Result<Step, TypeRule> {
    Ok(Step::Settled { stands_for, size: 0 })
}

impl Resolver<'_> {
    fn is_resolved(&self, id: TypeId) -> bool {
        self.visits.get(id.index()) == Some(&Visit::Resolved)
    }

    /// Does the chain end there (`env_type_is_resolve_sink`)?
    fn is_sink(&self, ty: &Type) -> bool {
        match self.mode {
            Mode::Undecided => !needs_resolving(ty),
            Mode::Pointer => !is_modifier(ty) && !matches!(ty, Type::Pointer { .. }),
            Mode::Contents => !is_modifier(ty) && !matches!(ty, Type::Array { .. } | Type::Struct(_) | Type::Union(_)),
        }
    }

    fn comes_first(&self, id: TypeId) -> bool {
        !self.is_sink(self.btf.ty(id)) && !self.is_resolved(id)
    }

    /// The type that has the size, and that size (`btf_type_id_size`).
    fn sized(&self, id: TypeId) -> Option<(TypeId, u32)> {
        let size_of = |id: TypeId| match self.btf.ty(id) {
            Type::Int { size, .. }
            | Type::Enum { size, .. }
            | Type::Float { size, .. }
            | Type::DataSection { size, .. } => Some(*size),
            Type::Struct(composite) | Type::Union(composite) => Some(composite.size),
            Type::Array { .. } => self.sizes.get(id.index()).copied(),
            Type::Pointer { .. } => Some(8),
            _ => None,
        };
        let ty = self.btf.ty(id);
        if is_without_size(ty) {
            return None;
        }
        let id = if is_modifier(ty) || matches!(ty, Type::Variable { .. }) { self.meant(id) } else { id };
        Some((id, size_of(id)?))
    }

    fn meant(&self, id: TypeId) -> TypeId {
        self.stands_for.get(id.index()).copied().unwrap_or_default()
    }

    fn resolve_if_needed(&mut self, id: TypeId) -> Result<(), RefusedType> {
        if needs_resolving(self.btf.ty(id)) && !self.is_resolved(id) {
            self.resolve(id)?;
        }
        Ok(())
    }

    /// Resolves a type and all that must be known before (`btf_resolve`).
    fn resolve(&mut self, id: TypeId) -> Result<(), RefusedType> {
        self.mode = Mode::Undecided;
        let whole = |rule| RefusedType { type_id: id, rule };
        self.push(id).map_err(whole)?;
        while let Some(&(current, part)) = self.stack.last() {
            match self.step(current, part).map_err(|rule| RefusedType { type_id: current, rule })? {
                Step::First { type_id, resume } => {
                    if let Some(top) = self.stack.last_mut() {
                        top.1 = resume;
                    }
                    self.push(type_id).map_err(whole)?;
                }
                Step::Settled { stands_for, size } => {
                    self.stack.pop();
                    let at = current.index();
                    (self.visits[at], self.stands_for[at], self.sizes[at]) = (Visit::Resolved, stands_for, size);
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, id: TypeId) -> Result<(), TypeRule> {
        if self.stack.len() == MAX_DEPTH {
            return Err(TypeRule::TooDeep);
        }
        if self.visits.get(id.index()) != Some(&Visit::Unseen) {
            return Err(TypeRule::Loop);
        }
        self.visits[id.index()] = Visit::OnStack;
        self.stack.push((id, 0));
        if self.mode == Mode::Undecided {
            self.mode = match self.btf.ty(id) {
                Type::Pointer { .. } => Mode::Pointer,
                Type::Struct(_) | Type::Union(_) | Type::Array { .. } => Mode::Contents,
                _ => Mode::Undecided,
            };
        }
        Ok(())
    }

    fn step(&mut self, id: TypeId, part: usize) -> Result<Step, TypeRule> {
        let btf = self.btf;
        match btf.ty(id) {
            Type::Pointer { target } => self.step_reference(*target, true, true),
            Type::Array { element, index, count } => self.step_array(*element, *index, *count),
            Type::Struct(composite) | Type::Union(composite) => self.step_composite(composite, part),
            Type::Variable { .. } if self.externs.symbols.contains(&id) => settled(TypeId::VOID),
            Type::Variable { type_id, .. } => self.step_reference(*type_id, true, false),
            Type::DataSection { .. } if self.externs.section == Some(id) => settled(TypeId::VOID),
            Type::DataSection { variables, .. } => self.step_section(variables, part),
            Type::Function { prototype, .. } => self.step_function(*prototype),
            Type::DeclTag { target, component, .. } => self.step_tag(*target, *component),
            ty => match ty.modified() {
                Some(target) => self.step_reference(target, false, true),
                None => Err(TypeRule::TypeId),
            },
        }
    }

    /// A modifier, a pointer or a variable. `beyond`: a pointer behind modifiers is followed as well. `sizeless`: what
    /// it refers to may lack a size.
    fn step_reference(&self, target: TypeId, beyond: bool, sizeless: bool) -> Result<Step, TypeRule> {
        let mut target = target;
        let mut ty = self.btf.ty(target);
        if is_source_only(ty) {
            return Err(TypeRule::TypeId);
        }
        if self.comes_first(target) {
            return Ok(Step::First { type_id: target, resume: 0 });
        }
        if beyond && is_modifier(ty) {
            let meant = self.meant(target);
            if matches!(self.btf.ty(meant), Type::Pointer { .. }) && self.comes_first(meant) {
                return Ok(Step::First { type_id: meant, resume: 0 });
            }
        }
        match self.sized(target) {
            Some((id, _)) => return settled(id),
            None if !sizeless => return Err(TypeRule::TypeId),
            None => {}
        }
        if self.is_resolved(target) {
            target = self.meant(target);
            ty = self.btf.ty(target);
        }
        match ty {
            Type::Void | Type::Forward { .. } | Type::FunctionPrototype { .. } => settled(target),
            _ => Err(TypeRule::TypeId),
        }
    }

    fn step_array(&self, element: TypeId, index: TypeId, count: u32) -> Result<Step, TypeRule> {
        for (id, rule) in [(index, TypeRule::Index), (element, TypeRule::Element)] {
            let ty = self.btf.ty(id);
            if is_without_size(ty) || is_source_only(ty) {
                return Err(rule);
            }
            if self.comes_first(id) {
                return Ok(Step::First { type_id: id, resume: 0 });
            }
            let (meant, _) = self.sized(id).ok_or(rule)?;
            if rule == TypeRule::Index && !is_regular_int(self.btf.ty(meant)) {
                return Err(rule);
            }
        }
        let (meant, size) = self.sized(element).ok_or(TypeRule::Element)?;
        let ty = self.btf.ty(meant);
        if matches!(ty, Type::Int { .. }) && !is_regular_int(ty) {
            return Err(TypeRule::ArrayOfBits);
        }
        let size = size.checked_mul(count).ok_or(TypeRule::ArraySize)?;
        Ok(Step::Settled { stands_for: meant, size })
    }

    fn step_composite(&self, composite: &Composite, part: usize) -> Result<Step, TypeRule> {
        let has_bitfields = composite.members.iter().any(|member| member.bitfield_size > 0);
        for (number, member) in composite.members.iter().enumerate().skip(part) {
            let ty = self.btf.ty(member.type_id);
            if is_without_size(ty) || is_source_only(ty) {
                return Err(TypeRule::Member);
            }
            if self.comes_first(member.type_id) {
                return Ok(Step::First { type_id: member.type_id, resume: number });
            }
            self.check_member(composite.size, member, has_bitfields)?;
        }
        settled(TypeId::VOID)
    }

    /// A member lies inside its struct, as its kind of type demands (`check_member`, `check_kflag_member`).
    fn check_member(&self, struct_size: u32, member: &Member, has_bitfields: bool) -> Result<(), TypeRule> {
        let (id, size) = self.sized(member.type_id).ok_or(TypeRule::Member)?;
        let ty = self.btf.ty(id);
        let is_aligned = member.bit_offset.is_multiple_of(8);
        match ty {
            Type::Int { bits, offset, .. } if has_bitfields => {
                if !is_regular_int(ty) {
                    return Err(TypeRule::Member);
                }
                match u32::from(member.bitfield_size) {
                    0 if !is_aligned => Err(TypeRule::MemberOffset),
                    width if width > u32::from(*bits) => Err(TypeRule::BitfieldSize),
                    0 => check_bits(struct_size, member.bit_offset, u32::from(*bits), *offset),
                    width => check_bits(struct_size, member.bit_offset, width, *offset),
                }
            }
            Type::Int { bits, offset, .. } => check_bits(struct_size, member.bit_offset, u32::from(*bits), *offset),
            Type::Enum { .. } if has_bitfields => {
                let width = match u32::from(member.bitfield_size) {
                    0 if !is_aligned => return Err(TypeRule::MemberAlignment),
                    33.. => return Err(TypeRule::BitfieldSize),
                    0 => 32,
                    width => width,
                };
                fits((member.bit_offset + width).div_ceil(8) <= struct_size)
            }
            _ if member.bitfield_size > 0 => Err(TypeRule::BitfieldSize),
            Type::Float { .. } => {
                if !u64::from(member.bit_offset).is_multiple_of(u64::from(size.clamp(1, 8)) * 8) {
                    return Err(TypeRule::MemberAlignment);
                }
                fits(u64::from(member.byte_offset()) + u64::from(size) <= u64::from(struct_size))
            }
            _ if !is_aligned => Err(TypeRule::MemberAlignment),
            _ => fits(struct_size.checked_sub(member.byte_offset()).is_some_and(|room| room >= size)),
        }
    }

    fn step_section(&mut self, variables: &[SectionVariable], part: usize) -> Result<Step, TypeRule> {
        self.mode = Mode::Undecided;
        for (number, variable) in variables.iter().enumerate().skip(part) {
            let Type::Variable { type_id, .. } = self.btf.ty(variable.type_id) else {
                return Err(TypeRule::NotAVariable);
            };
            if self.comes_first(variable.type_id) {
                // As in the kernel, its size is then not compared.
                return Ok(Step::First { type_id: variable.type_id, resume: number + 1 });
            }
            let (_, size) = self.sized(*type_id).ok_or(TypeRule::TypeId)?;
            if variable.size < size {
                return Err(TypeRule::VariableSize);
            }
        }
        settled(TypeId::VOID)
    }

    /// A function's parameters have names (`btf_func_check`).
    fn step_function(&self, prototype: TypeId) -> Result<Step, TypeRule> {
        let Type::FunctionPrototype { parameters, .. } = self.btf.ty(prototype) else { return Err(TypeRule::TypeId) };
        let unnamed = |parameter: &Parameter| parameter.name.is_empty() && parameter.type_id != TypeId::VOID;
        match parameters.iter().position(unnamed) {
            Some(at) if !self.externs.prototypes.contains(&prototype) => Err(TypeRule::Argument(at + 1)),
            _ => settled(prototype),
        }
    }

    fn step_tag(&self, target: TypeId, component: Option<u32>) -> Result<Step, TypeRule> {
        let ty = self.btf.ty(target);
        let components = match ty {
            Type::Struct(composite) | Type::Union(composite) => composite.members.len(),
            Type::Function { prototype, .. } => match self.btf.ty(*prototype) {
                Type::FunctionPrototype { parameters, .. } => parameters.len(),
                _ => 0,
            },
            Type::Variable { .. } | Type::Typedef { .. } => 0,
            _ => return Err(TypeRule::TypeId),
        };
        if self.comes_first(target) {
            return Ok(Step::First { type_id: target, resume: 0 });
        }
        match component {
            Some(component) if component as usize >= components => Err(TypeRule::Component),
            _ => settled(target),
        }
    }

    /// A prototype's result and parameters have sizes (`btf_func_proto_check`).
    fn check_prototype(&mut self, id: TypeId, returns: TypeId, parameters: &[Parameter]) -> Result<(), RefusedType> {
        if returns != TypeId::VOID {
            self.check_passed(id, returns, TypeRule::ReturnType)?;
        }
        let refuse = |at: usize| Err(RefusedType { type_id: id, rule: TypeRule::Argument(at + 1) });
        for (at, parameter) in parameters.iter().enumerate() {
            let is_last = at + 1 == parameters.len();
            if parameter.type_id == TypeId::VOID && is_last && parameter.name.is_empty() {
                break;
            }
            if !parameter.name.is_empty() && !super::meta::is_identifier(&parameter.name) {
                return refuse(at);
            }
            self.check_passed(id, parameter.type_id, TypeRule::Argument(at + 1))?;
        }
        Ok(())
    }

    fn check_passed(&mut self, prototype: TypeId, id: TypeId, rule: TypeRule) -> Result<(), RefusedType> {
        let refused = RefusedType { type_id: prototype, rule };
        if is_source_only(self.btf.ty(id)) {
            return Err(refused);
        }
        self.resolve_if_needed(id)?;
        self.sized(id).map(|_| ()).ok_or(refused)
    }
}

fn fits(inside: bool) -> Result<(), TypeRule> {
    if inside { Ok(()) } else { Err(TypeRule::MemberSize) }
}

/// Bits from `bit_offset` on lie inside the struct (`btf_int_check_member`).
fn check_bits(struct_size: u32, bit_offset: u32, bits: u32, int_offset: u8) -> Result<(), TypeRule> {
    let start = bit_offset.checked_add(u32::from(int_offset)).ok_or(TypeRule::MemberOffset)?;
    let copied = bits + start % 8;
    if copied > MAX_COPIED_BITS {
        return Err(TypeRule::BitfieldSize);
    }
    fits(struct_size.checked_sub(start / 8).is_some_and(|room| room >= copied.div_ceil(8)))
}
