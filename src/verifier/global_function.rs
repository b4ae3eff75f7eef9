//! What a function's parameters take, as its BTF and the tags on it say, and whether a call fits that
//! (`btf_prepare_func_args`, `kernel/bpf/btf.c`, `btf_check_subprog_call`, `kernel/bpf/verifier.c`, Linux 6.12).
//!
//! A global function is checked on its own, with registers that hold whatever its parameters say; its callers must
//! keep to them. For a static function a call that does not fit only makes its BTF unreliable.

use super::arguments::Call;
use super::dynptr::DynptrUse;
use super::env::{Check, Stop, Verifier, reject};
use super::rule::{Errno, Rule};
use super::state::{Frame, FrameKind};
use super::subprogram::kind_name;
use super::value::{Attributes, DynptrKind, Pointer, Target, Trust, TypeRef, TypeSpace, Value};
use crate::btf::{Btf, Parameter, Type, TypeId};
use crate::isa::Register;
use crate::kernel::limits::REGISTER_ARGUMENTS;
use crate::kernel::{Arg, ArgKind, TypeFlags};

/// Prefix of the declaration tags on parameters.
const TAG: &str = "arg:";

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// Any number.
    Scalar,
    /// The program's context.
    Context,
    /// Memory of that size.
    Memory {
        /// Bytes.
        size: u32,
        /// May it be NULL?
        nullable: bool,
    },
    /// A dynptr that somebody else keeps.
    Dynptr,
    /// A trusted object of the kernel.
    Object {
        /// Its type.
        ty: TypeRef,
        /// May it be NULL?
        nullable: bool,
    },
    /// The arena, or a number that is meant as an address in it.
    Arena,
}

/// Why parameters could not be read, or why a call does not fit them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The kernel says nothing.
    Silent,
    /// It says so, and fails with that number.
    Said(Box<Rule>, Errno),
    /// Not modelled; says what.
    Unsupported(String),
}

impl Mismatch {
    /// The same, failing with the number that stands for all that is invalid.
    fn invalid(self) -> Mismatch {
        match self {
            Mismatch::Said(rule, _) => Mismatch::Said(rule, Errno::Invalid),
            other => other,
        }
    }
}

impl From<Rule> for Mismatch {
    fn from(rule: Rule) -> Mismatch {
        let errno = rule.errno();
        Mismatch::Said(Box::new(rule), errno)
    }
}

impl From<Stop> for Mismatch {
    fn from(stop: Stop) -> Mismatch {
        match stop {
            Stop::Reject(rule) => (*rule).into(),
            Stop::Unsupported(what) => Mismatch::Unsupported(what),
        }
    }
}

/// The tags on a parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tags {
    context: bool,
    trusted: bool,
    nonnull: bool,
    nullable: bool,
    arena: bool,
}

impl Tags {
    const CONTEXT: Tags = Tags { context: true, trusted: false, nonnull: false, nullable: false, arena: false };
    const ARENA: Tags = Tags { arena: true, context: false, ..Tags::CONTEXT };

    fn any(self) -> bool {
        self != Tags::default()
    }
}

/// The function whose parameters are read.
struct Read<'a> {
    btf: &'a Btf,
    function: TypeId,
    name: &'a str,
    global: bool,
}

impl Verifier<'_> {
    /// Does the call of a function, or the registers where it is passed as a callback, fit its BTF? If not, its BTF is
    /// unreliable from now on. Gives the number that a call of a global function then fails with.
    pub fn match_prototype(&mut self, index: usize) -> Check<Result<(), Errno>> {
        if self.subprograms[index].type_id.is_none() || self.subprograms[index].unreliable {
            return Ok(Err(Errno::Invalid));
        }
        let matched = self.arguments_of(index).and_then(|arguments| self.match_arguments(&arguments));
        let Err(mismatch) = matched else { return Ok(Ok(())) };
        self.subprograms[index].unreliable = true;
        match mismatch {
            Mismatch::Silent => Ok(Err(Errno::Invalid)),
            Mismatch::Said(rule, Errno::Fault) => Err(Stop::Reject(rule)),
            Mismatch::Said(rule, errno) => {
                if self.subprograms[index].global {
                    self.say(&rule);
                } else {
                    self.log.line(&rule.to_string());
                }
                Ok(Err(errno))
            }
            Mismatch::Unsupported(what) => Err(Stop::Unsupported(what)),
        }
    }

    fn match_arguments(&mut self, arguments: &[Argument]) -> Result<(), Mismatch> {
        for (index, argument) in arguments.iter().enumerate() {
            let Some(register) = Register::argument(index) else { continue };
            self.match_argument(index, register, *argument)?;
        }
        Ok(())
    }

    /// `btf_check_func_arg_match`, one argument.
    fn match_argument(&mut self, index: usize, register: Register, argument: Argument) -> Result<(), Mismatch> {
        let value = self.value(register);
        match argument {
            Argument::Scalar if !value.is_scalar() => Err(Rule::NotScalar { register }.into()),
            Argument::Scalar => Ok(()),
            Argument::Context => {
                self.check_argument_offset(register, false, ArgKind::Anything)?;
                if self.target(register) == Some(Target::Context) && !value.may_be_null() {
                    return Ok(());
                }
                Err(Rule::ExpectsContext { index }.into())
            }
            Argument::Memory { size, nullable } => {
                self.check_argument_offset(register, false, ArgKind::Anything)?;
                self.check_memory_argument(register, size).map_err(|stop| Mismatch::from(stop).invalid())?;
                if !nullable && value.may_be_null() {
                    return Err(Rule::ExpectedNotNull { index }.into());
                }
                Ok(())
            }
            Argument::Dynptr => {
                self.check_argument_offset(register, false, ArgKind::PtrToDynptr)?;
                self.check_dynptr(register, DynptrUse::Use { wanted: None, changes: false })?;
                Ok(())
            }
            Argument::Object { ty, nullable } => self.match_object(register, ty, nullable).map_err(Mismatch::from),
            Argument::Arena if value.is_scalar() || self.target(register) == Some(Target::Arena) => Ok(()),
            Argument::Arena => Err(Rule::NotArenaOrScalar { register }.into()),
        }
    }

    fn match_object(&mut self, register: Register, ty: TypeRef, nullable: bool) -> Check {
        if nullable && self.value(register).is_null() {
            return Ok(());
        }
        let mut flags = TypeFlags::PTR_TRUSTED;
        flags.set(TypeFlags::PTR_MAYBE_NULL, nullable);
        let arg = Arg { kind: ArgKind::PtrToBtfId, flags, btf: None, size: None };
        let call = Call { wanted: Some(ty), ..Call::default() };
        self.check_argument_kind(register, arg.kind, &arg, &call)?;
        self.check_argument_offset(register, false, arg.kind)
    }

    /// What a function's parameters take; read once.
    ///
    /// # Errors
    /// Why they cannot be read; for a static function the kernel mostly says nothing.
    pub fn arguments_of(&mut self, index: usize) -> Result<Vec<Argument>, Mismatch> {
        if let Some(arguments) = &self.subprograms[index].arguments {
            return Ok(arguments.clone());
        }
        let subprogram = &self.subprograms[index];
        let (Some(btf), Some(function)) = (self.btf.clone(), subprogram.type_id) else {
            return Err(if subprogram.global { Rule::GlobalNeedsBtf.into() } else { Mismatch::Silent });
        };
        let name = btf.ty(function).name().to_owned();
        let read = Read { btf: &btf, function, name: &name, global: subprogram.global };
        let arguments = self.read_arguments(&read)?;
        self.subprograms[index].arguments = Some(arguments.clone());
        Ok(arguments)
    }

    fn read_arguments(&self, read: &Read<'_>) -> Result<Vec<Argument>, Mismatch> {
        let btf = read.btf;
        let said = |rule: Rule| if read.global { rule.into() } else { Mismatch::Silent };
        let prototype = match btf.ty(read.function) {
            Type::Function { prototype, .. } => btf.ty(*prototype),
            other => other,
        };
        let Type::FunctionPrototype { returns, parameters } = prototype else {
            return Err(Mismatch::Unsupported(format!("function {}() without a prototype", read.name)));
        };
        if parameters.len() > REGISTER_ARGUMENTS {
            return Err(said(Rule::TooManyGlobalArguments { name: read.name.to_owned(), count: parameters.len() }));
        }
        if !matches!(btf.ty(btf.resolve(*returns)), Type::Int { .. } | Type::Enum { .. }) {
            return Err(said(Rule::GlobalReturnsNoScalar { name: read.name.to_owned() }));
        }
        parameters
            .iter()
            .enumerate()
            .map(|(index, parameter)| {
                let tags = read.tags(index)?;
                self.read_argument(read, index, parameter, tags)
            })
            .collect()
    }

    fn read_argument(
        &self,
        read: &Read<'_>,
        index: usize,
        parameter: &Parameter,
        tags: Tags,
    ) -> Result<Argument, Mismatch> {
        let btf = read.btf;
        let ty = btf.ty(btf.resolve(parameter.type_id));
        if let Type::Pointer { target } = ty
            && let Some(argument) = self.read_pointer(read, index, *target, tags)?
        {
            return Ok(argument);
        }
        if tags.any() {
            return Err(Rule::TaggedNoPointer { index }.into());
        }
        match ty {
            Type::Int { .. } | Type::Enum { .. } => Ok(Argument::Scalar),
            _ if !read.global => Err(Mismatch::Silent),
            other => {
                let (kind, name) = (kind_name(other), read.name.to_owned());
                Err(Rule::GlobalArgumentUnsupported { index, kind, name }.into())
            }
        }
    }

    /// A pointer; `None` for a static function's that means nothing special.
    fn read_pointer(
        &self,
        read: &Read<'_>,
        index: usize,
        target: TypeId,
        tags: Tags,
    ) -> Result<Option<Argument>, Mismatch> {
        let btf = read.btf;
        let bad_tags = || Err(Rule::ArgumentTagCombination { index }.into());
        if tags.context || self.is_context_type(btf, target) {
            if (Tags { context: true, ..tags }) != Tags::CONTEXT {
                return bad_tags();
            }
            if tags.context {
                self.check_tagged_context(btf, index, target).map_err(|rule| Mismatch::from(rule).invalid())?;
            }
            return Ok(Some(Argument::Context));
        }
        let pointee = btf.resolve(target);
        let name = btf.ty(pointee).name();
        let may_be_struct = matches!(btf.ty(pointee), Type::Struct(_) | Type::Union(_) | Type::Forward { .. });
        if may_be_struct && name == "bpf_dynptr" {
            return if tags.any() { bad_tags() } else { Ok(Some(Argument::Dynptr)) };
        }
        if tags.trusted {
            if tags.nonnull {
                return bad_tags();
            }
            let ty = self.trusted_type(btf, index, pointee)?;
            return Ok(Some(Argument::Object { ty, nullable: tags.nullable }));
        }
        if tags.arena {
            if tags != Tags::ARENA {
                return Err(Rule::ArenaTagCombination { index }.into());
            }
            return Ok(Some(Argument::Arena));
        }
        if !read.global {
            return Ok(None);
        }
        if tags.nullable {
            return bad_tags();
        }
        match btf.size_of(pointee) {
            Some(size) => Ok(Some(Argument::Memory { size, nullable: !tags.nonnull })),
            None => {
                let (kind, name) = (kind_name(btf.ty(pointee)), name.to_owned());
                Err(Rule::ArgumentSizeUnknown { index, kind, name }.into())
            }
        }
    }

    /// The one type of the kernel that has the name of the program's, flavours aside (`btf_get_ptr_to_btf_id`).
    fn trusted_type(&self, btf: &Btf, index: usize, pointee: TypeId) -> Result<TypeRef, Mismatch> {
        let ty = btf.ty(pointee);
        let (kind, name) = (kind_name(ty), ty.name().to_owned());
        if name.is_empty() {
            return Err(Rule::TrustedCandidateError { index, kind, name: "(anon)".to_owned() }.into());
        }
        let kernel = &self.profile.btf;
        let candidates = kernel.ids_with_essential_name(&name);
        let mut candidates =
            candidates.into_iter().filter(|&id| std::mem::discriminant(kernel.ty(id)) == std::mem::discriminant(ty));
        match (candidates.next(), candidates.next()) {
            (Some(id), None) => Ok(TypeRef { space: TypeSpace::Kernel, id }),
            (None, _) if !self.profile.has_kernel_btf() => {
                Err(Mismatch::Unsupported(format!("{kind} {name}, which is not known without the kernel's BTF")))
            }
            (None, _) => Err(Rule::TrustedWithoutMatch { index, kind, name }.into()),
            (Some(_), Some(_)) => Err(Rule::TrustedAmbiguous { index, kind, name }.into()),
        }
    }

    /// The entry function's parameters are read as a global function's, without consequences but for the log and for
    /// calls of it (`do_check_common`).
    pub fn read_entry_prototype(&mut self) {
        if self.subprograms[0].type_id.is_none() {
            return;
        }
        match self.arguments_of(0) {
            Ok(arguments) if arguments == [Argument::Context] => return,
            Err(Mismatch::Said(rule, _)) => self.log.line(&rule.to_string()),
            Ok(_) | Err(Mismatch::Silent | Mismatch::Unsupported(_)) => {}
        }
        self.subprograms[0].unreliable = true;
    }

    /// The registers with which a global function is checked on its own (`do_check_common`).
    pub fn global_entry(&mut self, index: usize) -> Check<Frame> {
        let arguments = match self.arguments_of(index) {
            Ok(arguments) => arguments,
            Err(Mismatch::Said(rule, _)) => return Err(Stop::Reject(rule)),
            Err(Mismatch::Unsupported(what)) => return Err(Stop::Unsupported(what)),
            Err(Mismatch::Silent) => return super::env::unsupported("a global function whose BTF says nothing"),
        };
        let mut frame = Frame::new(0, index as u32, None);
        if self.exception_callback == Some(index) {
            frame.kind = FrameKind::ExceptionCallback;
            if arguments != [Argument::Scalar] {
                return reject(Rule::ExceptionCallbackArguments);
            }
        }
        for (number, argument) in arguments.iter().enumerate() {
            frame.registers[number + 1].value = self.entry_value(*argument)?;
        }
        Ok(frame)
    }

    fn entry_value(&mut self, argument: Argument) -> Check<Value> {
        let pointer = match argument {
            Argument::Scalar | Argument::Arena => return Ok(Value::unknown()),
            Argument::Context => Pointer::to(Target::Context),
            Argument::Memory { size, nullable } => {
                let attributes = Attributes { nullable, ..Attributes::default() };
                let id = self.new_id();
                Pointer { id, ..Pointer::to(Target::Memory { size, dynptr: 0 }).with(attributes) }
            }
            Argument::Object { ty, nullable } => {
                let attributes = Attributes { nullable, trust: Trust::Trusted, ..Attributes::default() };
                let id = self.new_id();
                Pointer { id, ..Pointer::to(Target::Object(ty)).with(attributes) }
            }
            Argument::Dynptr => {
                let id = self.new_id();
                Pointer { id, ..Pointer::to(Target::ConstDynptr(DynptrKind::Local)) }
            }
        };
        Ok(Value::Pointer(pointer))
    }
}

impl Read<'_> {
    /// The tags on a parameter, in the order of their ids.
    fn tags(&self, index: usize) -> Result<Tags, Mismatch> {
        let mut tags = Tags::default();
        for (_, ty) in self.btf.iter() {
            let Type::DeclTag { name, target, component: Some(component) } = ty else { continue };
            if *target != self.function || *component as usize != index {
                continue;
            }
            let Some(tag) = name.strip_prefix(TAG) else { continue };
            if !self.global {
                return Err(Rule::StaticArgumentTag { index }.into());
            }
            match tag {
                "ctx" => tags.context = true,
                "trusted" => tags.trusted = true,
                "nonnull" => tags.nonnull = true,
                "nullable" => tags.nullable = true,
                "arena" => tags.arena = true,
                _ => return Err(Rule::UnsupportedArgumentTag { index }.into()),
            }
        }
        Ok(tags)
    }
}
