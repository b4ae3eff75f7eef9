//! Types and functions that the verifier treats specially: `special_types.toml`.
//!
//! Lists that stand in the kernel's sources as tables: fields whose pointers may be trusted, destructors, sets of
//! functions, iterator targets, nullable tracepoint arguments. What they mean is the verifier's business. Start at
//! [`Special`].

use rustc_hash::FxHashMap;

use serde::Deserialize;

use super::kfunc::KfuncFlags;

/// How far the pointer in a [`SafeFields`] field is trusted (`BTF_TYPE_SAFE_*`, `kernel/bpf/verifier.c`, Linux 6.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldTrust {
    /// Inside an RCU section, and never NULL.
    Rcu,
    /// Inside an RCU section, and may be NULL.
    RcuOrNull,
    /// Always, and never NULL.
    Trusted,
    /// Always, and may be NULL.
    TrustedOrNull,
}

/// Fields of a structure whose pointers are trusted when the structure is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SafeFields {
    /// Structure name.
    #[serde(rename = "struct")]
    pub structure: String,
    /// How far.
    pub trust: FieldTrust,
    /// Member names.
    pub fields: Vec<String>,
}

/// What frees an object of a type that a map field owns (`register_btf_id_dtor_kfuncs`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destructor {
    /// Structure name.
    #[serde(rename = "type")]
    pub structure: String,
    /// Kernel function.
    pub kfunc: String,
}

/// A function whose result fmod_ret programs may change (`register_btf_fmodret_id_set`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModifiedReturn {
    /// Function name.
    pub name: String,
    /// [`KfuncFlags::SLEEPABLE`]: programs that may sleep attach too.
    pub flags: KfuncFlags,
}

/// A pointer in an iterator program's context (`struct bpf_ctx_arg_aux`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextPointer {
    /// Member of the context structure.
    pub field: String,
    /// The kernel's register type in lower case, base first: `ptr_to_btf_id|ptr_maybe_null|ptr_trusted`.
    pub kind: String,
}

/// What an iterator program iterates over (`struct bpf_iter_reg`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IteratorTarget {
    /// `task`, as in `SEC("iter/task")`.
    pub target: String,
    /// The context's structure.
    pub context: String,
    /// The kernel may reschedule between objects (`BPF_ITER_RESCHED`).
    pub resched: bool,
    /// Pointers in the context that are not plain BTF pointers.
    pub arguments: Vec<ContextPointer>,
    /// The function that offers further helpers, if any.
    pub helpers: Option<String>,
}

/// Arguments of a raw tracepoint that are not what their type says (`raw_tp_null_args`, `kernel/bpf/btf.c`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTracepoint {
    /// Tracepoint name.
    pub tracepoint: String,
    /// Arguments, counted from 0, that may be NULL.
    pub maybe_null: Vec<usize>,
    /// Arguments that may be an error in a pointer: programs see them as numbers.
    #[serde(default)]
    pub maybe_error: Vec<usize>,
}

/// `special_types.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Special {
    /// Structures whose map-field pointers may be read in RCU sections (`rcu_protected_types`).
    pub rcu_protected: Vec<String>,
    /// Targets of fmod_ret programs.
    pub fmod_ret: Vec<ModifiedReturn>,
    /// Trusted fields.
    pub safe_fields: Vec<SafeFields>,
    /// The kernel's socket types by `BTF_SOCK_TYPE_*` in lower case.
    pub sock_types: FxHashMap<String, String>,
    /// Destructors.
    #[serde(rename = "destructor")]
    pub destructors: Vec<Destructor>,
    /// Sets of kernel functions by the kernel's name of the set, such as `sleepable_lsm_hooks`.
    pub function_sets: FxHashMap<String, Vec<String>>,
    /// Iterator targets.
    #[serde(rename = "iterator")]
    pub iterators: Vec<IteratorTarget>,
    /// Raw tracepoints.
    #[serde(rename = "raw_tracepoint")]
    pub raw_tracepoints: Vec<RawTracepoint>,
}

impl Special {
    /// Is a function in one of the kernel's sets? An unknown set is empty.
    pub fn in_set(&self, set: &str, function: &str) -> bool {
        self.function_sets.get(set).is_some_and(|names| names.iter().any(|name| name == function))
    }

    /// How far the pointer in a structure's field is trusted.
    pub fn field_trust(&self, structure: &str, field: &str) -> Option<FieldTrust> {
        let safe = |one: &&SafeFields| one.structure == structure && one.fields.iter().any(|name| name == field);
        self.safe_fields.iter().find(safe).map(|one| one.trust)
    }
}
