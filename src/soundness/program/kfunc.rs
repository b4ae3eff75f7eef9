//! Kernel functions of a user's own, as far as a generated program can call them.

use crate::kernel::{CType, Kfunc, KfuncFlags, Param, Programs, Tables};

use super::model::ProgramKind;

/// What a parameter wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// A number.
    Number,
    /// A number that the verifier knows.
    Constant,
    /// Nothing: zero is passed.
    Ignored,
    /// An object at hand of that structure.
    Object(String),
    /// Memory of 32 bytes on the stack.
    Memory,
    /// How long the memory before is.
    MemorySize,
}

/// What a call gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing that a program can use.
    Nothing,
    /// A number.
    Number,
    /// A reference to an object of that structure, which `release` gives back.
    Object {
        /// The structure.
        structure: String,
        /// May it be NULL?
        nullable: bool,
        /// The kernel function that takes it.
        release: String,
    },
}

/// A kernel function that generated programs call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserKfunc {
    /// Name.
    pub name: String,
    /// Parameters, five at most.
    pub parameters: Vec<Parameter>,
    /// Result.
    pub outcome: Outcome,
    /// Must the program be one that may sleep?
    pub sleeps: bool,
    programs: Programs,
}

impl UserKfunc {
    /// Those of a user's descriptions (`--kfuncs`) that generated programs can call: each that is in `tables` and not
    /// built in, whose parameters are numbers, memory and objects that others of them return. Functions that release
    /// are called at the end of what they release, and are not among these.
    #[must_use]
    pub fn of_tables(tables: &Tables) -> Vec<UserKfunc> {
        let built_in = Tables::embedded();
        let own = |kfunc: &&Kfunc| built_in.kfuncs().all(|known| known.prototype != kfunc.prototype);
        let own: Vec<&Kfunc> = tables.kfuncs().filter(own).collect();
        let callable = own.iter().filter(|kfunc| !kfunc.flags.contains(KfuncFlags::RELEASE));
        callable.filter_map(|kfunc| UserKfunc::of(kfunc, &own)).collect()
    }

    fn of(kfunc: &Kfunc, own: &[&Kfunc]) -> Option<UserKfunc> {
        let special = KfuncFlags::ITER_NEW | KfuncFlags::ITER_NEXT | KfuncFlags::ITER_DESTROY | KfuncFlags::DESTRUCTIVE;
        if kfunc.flags.intersects(special) || kfunc.prototype.variadic || kfunc.prototype.params.len() > 5 {
            return None;
        }
        let params = &kfunc.prototype.params;
        let parameters = params.iter().enumerate().map(|(index, param)| parameter(param, params.get(index + 1)));
        let acquires = kfunc.flags.contains(KfuncFlags::ACQUIRE);
        let outcome = match kfunc.prototype.ret.pointee() {
            Some(CType::Struct(structure)) if acquires => Outcome::Object {
                structure: structure.clone(),
                nullable: kfunc.flags.contains(KfuncFlags::RET_NULL),
                release: releaser(structure, own)?,
            },
            _ if acquires => return None,
            Some(_) => Outcome::Nothing,
            None if *kfunc.prototype.ret.unqualified() == CType::Void => Outcome::Nothing,
            None => Outcome::Number,
        };
        Some(UserKfunc {
            name: kfunc.name.clone(),
            parameters: parameters.collect::<Option<_>>()?,
            outcome,
            sleeps: kfunc.flags.contains(KfuncFlags::SLEEPABLE),
            programs: kfunc.programs.clone(),
        })
    }

    /// May such a program call it?
    #[must_use]
    pub fn allows(&self, kind: ProgramKind) -> bool {
        self.programs.allows(kind.program_type()) && (!self.sleeps || kind.sleeps())
    }
}

/// The function that gives back an object, if it takes nothing else.
fn releaser(structure: &str, own: &[&Kfunc]) -> Option<String> {
    let takes = |kfunc: &&&Kfunc| {
        kfunc.flags.contains(KfuncFlags::RELEASE)
            && matches!(kfunc.prototype.params.as_slice(), [one] if points_to(&one.ty, structure))
    };
    own.iter().find(takes).map(|kfunc| kfunc.name.clone())
}

fn points_to(ty: &CType, structure: &str) -> bool {
    matches!(ty.pointee(), Some(CType::Struct(name)) if name == structure)
}

fn parameter(param: &Param, next: Option<&Param>) -> Option<Parameter> {
    if param.has_suffix("ign") {
        return Some(Parameter::Ignored);
    }
    match param.ty.unqualified() {
        CType::Pointer { .. } => match param.ty.pointee()? {
            CType::Struct(name) => Some(Parameter::Object(name.clone())),
            CType::Void if next.is_some_and(is_size) => Some(Parameter::Memory),
            CType::Int { .. } | CType::Bool | CType::Typedef(_) => Some(Parameter::Memory),
            _ => None,
        },
        CType::Int { .. } | CType::Bool | CType::Enum(_) | CType::Typedef(_) if is_size(param) => {
            Some(Parameter::MemorySize)
        }
        CType::Int { .. } | CType::Bool | CType::Enum(_) | CType::Typedef(_) if param.has_suffix("k") => {
            Some(Parameter::Constant)
        }
        CType::Int { .. } | CType::Bool | CType::Enum(_) | CType::Typedef(_) => Some(Parameter::Number),
        _ => None,
    }
}

fn is_size(param: &Param) -> bool {
    param.has_suffix("sz") || param.has_suffix("szk")
}
