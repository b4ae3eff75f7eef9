//! The built-in data is whole, and a user's files are read or refused with a place.

use std::collections::{BTreeSet, HashSet};

use btfparse::TypeVariant;

use super::*;
use crate::kernel::{AttachType, CType, Capabilities, KfuncFlags, Outcome, Programs, RetKind, TypeFlags};

/// A privileged program of this type.
fn facts(program: ProgramType) -> ProgramFacts<'static> {
    ProgramFacts {
        program,
        attach: None,
        sleepable: false,
        capabilities: Capabilities::all(),
        target: "",
        struct_ops: None,
    }
}

fn symbol(name: &str, facts: &ProgramFacts<'_>) -> Option<&'static str> {
    let tables = Tables::embedded();
    let helper = tables.helpers().find(|helper| helper.name == name)?;
    tables.helper_for(helper.id, facts).map(|proto| proto.symbol.as_str())
}

#[test]
fn helper_numbers_are_dense_and_names_agree() {
    let helpers: Vec<_> = Tables::embedded().helpers().collect();
    assert_eq!(helpers.len(), 211, "Linux 6.12 has 211 helpers");
    assert_eq!(Tables::embedded().last_helper(), 211);
    for (id, helper) in (1..).zip(helpers) {
        assert_eq!(helper.id, id);
        assert_eq!(helper.name, helper.prototype.name);
        assert!(helper.prototype.params.len() <= 5, "{}", helper.name);
        assert_eq!(Tables::embedded().helper(id).map(|found| &found.name), Some(&helper.name));
    }
    assert!(Tables::embedded().helper(0).is_none());
    assert!(Tables::embedded().helper(212).is_none());
}

#[test]
fn every_reference_between_tables_resolves() {
    let tables = Tables::embedded();
    let availability = tables.availability();
    let names: HashSet<&str> = tables.helpers().map(|helper| helper.name.as_str()).collect();
    let known: HashSet<&str> = availability.tables.iter().map(|table| table.name.as_str()).collect();
    for table in availability.tables.iter() {
        for (helper, rows) in &table.helpers {
            assert!(names.contains(helper.as_str()), "{}: {helper}", table.name);
            for row in rows.iter().chain(&table.first).chain(&table.otherwise) {
                match &row.then {
                    Outcome::Proto(symbol) => assert!(tables.proto(symbol).is_some(), "{symbol}"),
                    Outcome::Table(name) | Outcome::Try(name) => {
                        assert!(name == "bpf_iter_get_func_proto" || known.contains(name.as_str()), "{name}");
                    }
                    Outcome::Refused => {}
                }
            }
        }
    }
    let used = availability.programs.iter().filter_map(|entry| entry.table.as_deref());
    let used = used.chain(availability.struct_ops.iter().filter_map(|entry| entry.table.as_deref()));
    for table in used.chain(availability.iterators.iter().map(|entry| entry.table.as_str())) {
        assert!(known.contains(table), "{table}");
    }
    for map in MapType::ALL {
        for helper in tables.map_helpers(*map).into_iter().flat_map(|entry| &entry.helpers) {
            assert!(names.contains(helper.as_str()), "{map}: {helper}");
        }
    }
}

/// Entries are read one by one, under headings that the code names: none may be missed.
#[test]
fn every_entry_is_under_a_known_heading_and_can_be_read() {
    let headings = |text: &str, known: &[&str]| {
        let found = text.lines().filter_map(|line| line.strip_prefix("[[")?.strip_suffix("]]"));
        found.inspect(|heading| assert!(known.contains(heading), "{heading}")).count()
    };
    let tables = Tables::embedded();
    let read = tables.helpers().count() + tables.protos().count();
    let read = read + MapType::ALL.iter().filter(|map| tables.map_helpers(**map).is_some()).count();
    assert_eq!(read, headings(include_str!("../../../kfuncs/helpers.toml"), &["helper", "map", "proto"]));
    let Availability { programs, struct_ops, iterators, tables: rows } = tables.availability();
    let read = programs.iter().count() + struct_ops.iter().count() + iterators.iter().count() + rows.iter().count();
    let known = ["program", "struct_ops", "iterator", "table"];
    assert_eq!(read, headings(include_str!("../../../kfuncs/availability.toml"), &known));
    let kfuncs: usize = FAMILIES.iter().map(|text| headings(text, &["kfunc"])).sum();
    assert_eq!(tables.kfuncs().count(), kfuncs);
}

#[test]
fn every_program_type_but_unspec_has_an_entry() {
    let listed: BTreeSet<ProgramType> = Tables::embedded().availability().programs.iter().map(|e| e.program).collect();
    let all: BTreeSet<ProgramType> = ProgramType::ALL.iter().copied().skip(1).collect();
    assert_eq!(listed, all);
}

#[test]
fn every_helper_has_a_prototype_somewhere() {
    let reachable = |helper: &Helper| {
        let offered = |table: &crate::kernel::HelperTable| table.helpers.contains_key(&helper.name);
        Tables::embedded().availability().tables.iter().any(offered)
    };
    let missing: Vec<&str> =
        Tables::embedded().helpers().filter(|helper| !reachable(helper)).map(|h| h.name.as_str()).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn exchange_takes_a_field_and_an_owned_pointer() {
    let proto = Tables::embedded().proto("bpf_kptr_xchg_proto").expect("in the table");
    assert_eq!(proto.args.len(), 2);
    assert_eq!(proto.args[0].kind, crate::kernel::ArgKind::KptrXchgDest);
    assert_eq!(proto.args[1].flags, TypeFlags::OBJ_RELEASE | TypeFlags::PTR_MAYBE_NULL);
    assert_eq!(proto.ret.kind, RetKind::PtrToBtfId);
    assert_eq!(proto.ret.flags, TypeFlags::PTR_MAYBE_NULL);
}

#[test]
fn prototypes_follow_the_program() {
    use ProgramType::{Kprobe, Lsm, Syscall, Tracing, Xdp};
    assert_eq!(symbol("bpf_map_lookup_elem", &facts(Xdp)), Some("bpf_map_lookup_elem_proto"));
    assert_eq!(symbol("bpf_kptr_xchg", &facts(Tracing)), Some("bpf_kptr_xchg_proto"));
    assert_eq!(symbol("bpf_get_smp_processor_id", &facts(Kprobe)), Some("bpf_get_smp_processor_id_proto"));
    let filter = facts(ProgramType::SocketFilter);
    assert_eq!(symbol("bpf_get_smp_processor_id", &filter), Some("bpf_get_raw_smp_processor_id_proto"));
    assert_eq!(symbol("bpf_xdp_adjust_head", &facts(Tracing)), None);
    assert_eq!(symbol("bpf_sys_close", &facts(Syscall)), Some("bpf_sys_close_proto"));
    assert_eq!(symbol("bpf_override_return", &facts(Kprobe)), None, "the build has no kprobe override");
    assert_eq!(symbol("bpf_probe_write_user", &facts(Kprobe)), Some("bpf_probe_write_user_proto"));
    let multi = ProgramFacts { attach: Some(AttachType::TraceKprobeMulti), ..facts(Kprobe) };
    assert_eq!(symbol("bpf_get_func_ip", &multi), Some("bpf_get_func_ip_proto_kprobe_multi"));
    assert_eq!(symbol("bpf_get_func_ip", &facts(Kprobe)), Some("bpf_get_func_ip_proto_kprobe"));
    let sleepy = ProgramFacts { sleepable: true, ..facts(Tracing) };
    assert_eq!(symbol("bpf_get_task_stack", &sleepy), Some("bpf_get_task_stack_sleepable_proto"));
    let cgroup = ProgramFacts { attach: Some(AttachType::LsmCgroup), ..facts(Lsm) };
    assert_eq!(symbol("bpf_set_retval", &cgroup), Some("bpf_set_retval_proto"));
    assert_eq!(symbol("bpf_set_retval", &facts(Lsm)), None);
    assert_eq!(symbol("bpf_setsockopt", &cgroup), None);
    let created = ProgramFacts { target: "bpf_lsm_socket_post_create", ..cgroup };
    assert_eq!(symbol("bpf_setsockopt", &created), Some("bpf_unlocked_sk_setsockopt_proto"));
}

#[test]
fn prototypes_follow_attach_type_and_target() {
    let fentry = ProgramFacts { attach: Some(AttachType::TraceFentry), ..facts(ProgramType::Tracing) };
    assert_eq!(symbol("bpf_get_func_arg", &fentry), Some("bpf_get_func_arg_proto"));
    assert_eq!(symbol("bpf_seq_write", &fentry), None);
    assert_eq!(symbol("bpf_task_storage_get", &fentry), Some("bpf_task_storage_get_recur_proto"));
    let iterator = ProgramFacts { attach: Some(AttachType::TraceIter), target: "bpf_iter_tcp", ..fentry };
    assert_eq!(symbol("bpf_seq_write", &iterator), Some("bpf_seq_write_proto"));
    assert_eq!(symbol("bpf_get_func_arg", &iterator), None);
    assert_eq!(symbol("bpf_task_storage_get", &iterator), Some("bpf_task_storage_get_proto"));
    assert_eq!(symbol("bpf_setsockopt", &iterator), Some("bpf_sk_setsockopt_proto"));
    assert_eq!(symbol("bpf_setsockopt", &ProgramFacts { target: "bpf_iter_task", ..iterator }), None);
    let congestion = ProgramFacts { struct_ops: Some(("tcp_congestion_ops", "init")), ..facts(ProgramType::StructOps) };
    assert_eq!(symbol("bpf_setsockopt", &congestion), Some("bpf_sk_setsockopt_proto"));
    let release = ProgramFacts { struct_ops: Some(("tcp_congestion_ops", "release")), ..congestion };
    assert_eq!(symbol("bpf_setsockopt", &release), None);
    let dummy = ProgramFacts { struct_ops: Some(("bpf_dummy_ops", "test_1")), ..congestion };
    assert_eq!(symbol("bpf_map_lookup_elem", &dummy), None);
    let connect = ProgramFacts { attach: Some(AttachType::CgroupInet4Connect), ..facts(ProgramType::CgroupSockAddr) };
    assert_eq!(symbol("bpf_bind", &connect), Some("bpf_bind_proto"));
    let bind = ProgramFacts { attach: Some(AttachType::CgroupInet4Bind), ..connect };
    assert_eq!(symbol("bpf_bind", &bind), None);
}

#[test]
fn capabilities_are_asked_for() {
    let plain = ProgramFacts { capabilities: Capabilities::empty(), ..facts(ProgramType::SocketFilter) };
    assert_eq!(symbol("bpf_map_lookup_elem", &plain), Some("bpf_map_lookup_elem_proto"));
    assert_eq!(symbol("bpf_spin_lock", &plain), None);
    assert_eq!(symbol("bpf_trace_printk", &plain), None);
    let tracer = ProgramFacts { capabilities: Capabilities::BPF, ..plain };
    assert_eq!(symbol("bpf_spin_lock", &tracer), Some("bpf_spin_lock_proto"));
    assert_eq!(symbol("bpf_trace_printk", &tracer), None);
    let admin = ProgramFacts { capabilities: Capabilities::SYS_ADMIN, ..plain };
    assert_eq!(symbol("bpf_trace_printk", &admin), Some("bpf_trace_printk_proto"));
}

#[test]
fn kfunc_names_agree_and_flags_are_known() {
    let tables = Tables::embedded();
    let mut count = 0;
    for kfunc in tables.kfuncs() {
        assert_eq!(kfunc.name, kfunc.prototype.name);
        assert!(kfunc.programs != Programs::These(Vec::new()), "{}", kfunc.name);
        count += 1;
    }
    assert!(count > 200, "{count}");
    let new = tables.kfunc("bpf_percpu_obj_new_impl").expect("in percpu.toml");
    assert_eq!(new.flags, KfuncFlags::ACQUIRE | KfuncFlags::RET_NULL);
    assert!(new.prototype.params[0].has_suffix("k"));
    assert!(tables.kfunc_allowed("bpf_percpu_obj_new_impl", ProgramType::Tracing));
    assert!(!tables.kfunc_allowed("bpf_percpu_obj_new_impl", ProgramType::SkSkb));
    assert!(tables.kfunc_allowed("bpf_rcu_read_lock", ProgramType::SkSkb));
    assert!(tables.kfunc("bpf_no_such_kfunc").is_none());
}

#[test]
fn kfuncs_follow_the_program() {
    let tables = Tables::embedded();
    assert!(tables.kfunc_for("bpf_get_task_exe_file", &facts(ProgramType::Lsm)).is_some());
    assert!(tables.kfunc_for("bpf_get_task_exe_file", &facts(ProgramType::Tracing)).is_none());
    let hid = |program| tables.kfunc_for("hid_bpf_allocate_context", &facts(program)).map(|kfunc| kfunc.flags);
    assert_eq!(hid(ProgramType::StructOps).map(|flags| flags.contains(KfuncFlags::SLEEPABLE)), Some(true));
    assert_eq!(hid(ProgramType::Syscall).map(|flags| flags.contains(KfuncFlags::SLEEPABLE)), Some(false));
}

#[test]
fn special_lists() {
    let special = Tables::embedded().special();
    assert_eq!(special.field_trust("task_struct", "cgroups"), Some(crate::kernel::FieldTrust::Rcu));
    assert_eq!(special.field_trust("task_struct", "pid"), None);
    assert!(special.in_set("sleepable_lsm_hooks", "bpf_lsm_file_open"));
    assert!(!special.in_set("sleepable_lsm_hooks", "bpf_lsm_task_free"));
    assert!(special.rcu_protected.iter().any(|name| name == "task_struct"));
    let destructor = Tables::embedded().destructor("cgroup").map(|found| found.kfunc.as_str());
    assert_eq!(destructor, Some("bpf_cgroup_release_dtor"));
}

#[test]
fn built_in_types_have_places_inside_their_structure() {
    let tables = Tables::embedded();
    let (structures, _) = tables.types();
    for structure in structures {
        for field in &structure.fields {
            assert!(field.offset <= structure.size, "{}.{}", structure.name, field.declaration.name);
        }
    }
    let task = tables.structure("task_struct").expect("in types.toml");
    let cgroups = task.fields.iter().find(|field| field.declaration.name == "cgroups").expect("listed");
    assert_eq!(cgroups.declaration.ty.struct_name(), Some("css_set"));
    let spin = tables.structure("bpf_spin_lock").expect("in types.toml");
    assert_eq!((spin.size, spin.complete), (4, true));
}

struct Bytes(Vec<u8>);

impl btfparse::Readable for Bytes {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> btfparse::Result<()> {
        let missing = || btfparse::Error::new(btfparse::ErrorKind::IOError, "past the end");
        let start = usize::try_from(offset).map_err(|_| missing())?;
        buffer.copy_from_slice(self.0.get(start..start + buffer.len()).ok_or_else(missing)?);
        Ok(())
    }
}

/// Where `KPTRSIM_TEST_KERNEL_BTF` names a kernel's `.BTF` (of the build that the data was made from): every kfunc that
/// the data calls present is there with these parameter names, and those called absent are not.
#[test]
fn kfuncs_agree_with_a_kernels_btf() {
    let Some(path) = std::env::var_os("KPTRSIM_TEST_KERNEL_BTF") else {
        eprintln!("skipped: KPTRSIM_TEST_KERNEL_BTF names no kernel BTF");
        return;
    };
    let bytes = Bytes(fs::read(&path).expect("a readable file"));
    let btf = btfparse::TypeInformation::new(&bytes).expect("a kernel's BTF");
    let function = |variant: &TypeVariant| match variant {
        TypeVariant::Func(func) => func.name().clone().map(|name| (name, *func.prototype_tid())),
        _ => None,
    };
    let functions: std::collections::HashMap<String, u32> = btf.get().values().filter_map(function).collect();
    let mut compared = 0;
    for kfunc in Tables::embedded().kfuncs() {
        let Some(proto) = functions.get(&kfunc.name) else {
            assert!(kfunc.absent, "{}", kfunc.name);
            continue;
        };
        assert!(!kfunc.absent, "{}", kfunc.name);
        let Some(TypeVariant::FuncProto(proto)) = btf.from_id(*proto) else {
            panic!("{} has no prototype", kfunc.name);
        };
        let theirs: Vec<String> =
            proto.parameter_list().iter().map(|one| one.name().clone().unwrap_or_default()).collect();
        let ours: Vec<String> = kfunc.prototype.params.iter().map(|one| one.name.clone()).collect();
        assert_eq!(ours, theirs, "{}", kfunc.name);
        compared += 1;
    }
    assert!(compared > 100, "{compared}");
}

/// Every typedef that a built-in declaration names is itself built in, down to C's own types.
#[test]
fn built_in_typedefs_resolve() {
    fn named<'a>(ty: &'a CType, found: &mut Vec<&'a str>) {
        match ty {
            CType::Typedef(name) => found.push(name),
            CType::Const(of) | CType::Pointer { to: of, .. } | CType::Array { of, .. } => named(of, found),
            CType::Function(signature) => {
                named(&signature.ret, found);
                signature.params.iter().for_each(|param| named(&param.ty, found));
            }
            _ => {}
        }
    }
    let tables = Tables::embedded();
    let mut found = Vec::new();
    let (structures, typedefs) = tables.types();
    let typedefs: Vec<&Typedef> = typedefs.collect();
    structures.flat_map(|one| &one.fields).for_each(|field| named(&field.declaration.ty, &mut found));
    typedefs.iter().filter_map(|one| one.target.as_ref()).for_each(|target| named(&target.ty, &mut found));
    for kfunc in tables.kfuncs().filter(|kfunc| !kfunc.absent) {
        named(&kfunc.prototype.ret, &mut found);
        kfunc.prototype.params.iter().for_each(|param| named(&param.ty, &mut found));
    }
    for target in &tables.targets().functions {
        target.prototype.params.iter().for_each(|param| named(&param.ty, &mut found));
    }
    let missing: BTreeSet<&str> =
        found.into_iter().filter(|name| !typedefs.iter().any(|one| one.name == *name)).collect();
    assert_eq!(missing, BTreeSet::new());
}

#[test]
fn attach_targets() {
    let targets = Tables::embedded().targets();
    let test1 = targets.function("bpf_fentry_test1").expect("in attach.toml");
    assert_eq!(test1.prototype.params.len(), 1);
    assert!(targets.function("bpf_lsm_file_open").is_some());
    let newtask = targets.tracepoint("task_newtask").expect("in attach.toml");
    assert_eq!(newtask.prototype.params[1].ty.struct_name(), Some("task_struct"));
    for target in targets.functions.iter().chain(&targets.tracepoints).chain(&targets.lsm_hooks) {
        assert_eq!(target.name, target.prototype.name);
    }
}

const OWN: &str = r#"
[[kfunc]]
name = "my_object_new"
prototype = "struct my_object *my_object_new(u32 key)"
flags = ["acquire", "ret_null"]
programs = ["tracing", "xdp"]
since = "6.12"

[[kfunc]]
name = "bpf_rcu_read_lock"
prototype = "void bpf_rcu_read_lock(void)"
flags = ["sleepable"]
programs = ["any"]

[[struct]]
name = "my_object"
size = 8
complete = true
fields = [{ offset = 0, declaration = "u64 value" }]

[[destructor]]
type = "my_object"
kfunc = "my_object_free"
"#;

#[test]
fn a_user_adds_kfuncs() {
    let tables = Tables::with_text(Path::new("own.toml"), OWN).expect("follows the schema");
    let own = tables.kfunc_for("my_object_new", &facts(ProgramType::Xdp)).expect("added");
    assert_eq!(own.prototype.ret.struct_name(), Some("my_object"));
    assert!(tables.kfunc_for("my_object_new", &facts(ProgramType::SkMsg)).is_none());
    let lock = tables.kfunc("bpf_rcu_read_lock").map(|kfunc| kfunc.flags);
    assert_eq!(lock, Some(KfuncFlags::SLEEPABLE), "a user's kfunc hides the built-in one");
    assert_eq!(Tables::embedded().kfunc("bpf_rcu_read_lock").map(|kfunc| kfunc.flags), Some(KfuncFlags::empty()));
    assert_eq!(tables.structure("my_object").map(|one| one.size), Some(8));
    assert_eq!(tables.destructor("my_object").map(|one| one.kfunc.as_str()), Some("my_object_free"));
    assert!(tables.kfunc("bpf_percpu_obj_new_impl").is_some());
}

#[test]
fn mistakes_are_refused_with_their_place() {
    for (from, to, line, word) in [
        ("\"acquire\", ", "\"aquire\", ", 5, "`aquire` is no kfunc flag"),
        ("my_object_new(u32 key)", "my_object_new(u32 key", 4, "expected"),
        ("\"xdp\"", "\"xpd\"", 6, "`xpd` is no ProgramType"),
        ("since = \"6.12\"", "since = \"soon\"", 7, "`soon` is no kernel version"),
        ("since = ", "sinse = ", 7, "unknown field `sinse`"),
        ("size = 8", "size = 8 8", 17, ""),
        ("[[destructor]]", "[[destruktor]]", 21, "unknown field `destruktor`"),
    ] {
        let text = OWN.replacen(from, to, 1);
        assert_ne!(text, OWN, "{from}");
        let error = Tables::with_text(Path::new("own.toml"), &text).expect_err(to);
        let shown = error.to_string();
        assert!(shown.starts_with(&format!("own.toml:{line}:")), "{shown}");
        assert!(shown.contains(word), "{shown}");
    }
    let text = OWN.replacen("*my_object_new(", "*my_object_old(", 1);
    let shown = Tables::with_text(Path::new("own.toml"), &text).expect_err("names differ").to_string();
    assert_eq!(shown, "own.toml:3: kfunc `my_object_new` has a prototype of `my_object_old`");
}

#[test]
fn a_folder_is_read_file_by_file() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("b.toml"), OWN).expect("written");
    fs::write(folder.path().join("a.txt"), "not read").expect("written");
    let tables = Tables::with_files(folder.path()).expect("follows the schema");
    assert!(tables.kfunc("my_object_new").is_some());
    fs::write(folder.path().join("c.toml"), "kfunc = 3").expect("written");
    let shown = Tables::with_files(folder.path()).expect_err("no schema").to_string();
    assert!(shown.contains("c.toml:1:"), "{shown}");
    let missing = folder.path().join("nowhere");
    assert!(matches!(Tables::with_files(&missing), Err(TablesError::Read { .. })));
}

proptest::proptest! {
    #[test]
    fn any_damage_is_answered(at in 0..OWN.len(), byte in 0_u8..128) {
        let mut bytes = OWN.as_bytes().to_vec();
        bytes[at] = byte;
        let text = String::from_utf8(bytes).expect("ASCII");
        let _ = Tables::with_text(Path::new("own.toml"), &text);
    }
}
