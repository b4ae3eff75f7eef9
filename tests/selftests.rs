//! Loads every object in a folder; run by hand, on the kernel's compiled selftests:
//! `KPTRSIM_OBJECTS=DIR KPTRSIM_BTF=FILE KPTRSIM_CONFIG=FILE cargo test --test selftests -- --ignored --nocapture`.
//! With `KPTRSIM_INSNS=FILE`, one JSON object a line with `object`, `program` and `insns` (hexadecimal, as libbpf
//! relocated them), the instructions are compared, too.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use kptrsim::btf::Btf;
use kptrsim::isa::{RawInsn, opcode};
use kptrsim::object::{LoadOptions, Object, Program};

fn load_all(folder: &Path, options: &LoadOptions<'_>) -> (usize, BTreeMap<String, String>) {
    let (mut loaded, mut refused) = (0, BTreeMap::new());
    let (mut programs, mut slots, mut unresolved, mut broken) = (0, 0, 0, Vec::new());
    let started = Instant::now();
    for entry in std::fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "o") {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match Object::parse(&name, &std::fs::read(&path).expect("the object can be read"), options) {
            Ok(object) => {
                loaded += 1;
                programs += object.programs.len();
                for program in &object.programs {
                    slots += program.insns.len();
                    unresolved += program.unresolved.len();
                    if let Some(reason) = &program.refused {
                        broken.push(format!("{name} {}: {reason}", program.name));
                    }
                }
            }
            Err(error) => drop(refused.insert(name, error.to_string())),
        }
    }
    println!(
        "{loaded} loaded in {:?}: {programs} programs, {slots} slots, {unresolved} unresolved, {} refused programs",
        started.elapsed(),
        broken.len()
    );
    broken.iter().for_each(|line| println!("  program {line}"));
    refused.iter().for_each(|(name, reason)| println!("  {name}: {reason}"));
    (loaded, refused)
}

#[test]
#[ignore = "needs a folder of objects in KPTRSIM_OBJECTS"]
fn every_object_loads_or_is_refused_with_a_reason() {
    let folder = std::env::var("KPTRSIM_OBJECTS").expect("KPTRSIM_OBJECTS names a folder");
    let (loaded, refused) = load_all(Path::new(&folder), &LoadOptions::default());
    assert!(loaded > 0);
    assert!(refused.values().all(|reason| !reason.is_empty()));
    let Ok(file) = std::env::var("KPTRSIM_BTF") else { return };
    let bytes = std::fs::read(file).expect("the BTF file can be read");
    let started = Instant::now();
    let btf = Btf::parse(&bytes).expect("the kernel's BTF parses");
    println!("kernel BTF: {} types in {:?}", btf.len(), started.elapsed());
    let config = std::env::var("KPTRSIM_CONFIG").ok().map(|file| std::fs::read_to_string(file).expect("a config"));
    let options = LoadOptions { kernel_btf: Some(&btf), kernel_config: config.as_deref(), ..LoadOptions::default() };
    let (with_kernel, refused) = load_all(Path::new(&folder), &options);
    assert!(with_kernel > 0);
    assert!(refused.values().all(|reason| !reason.is_empty()));
}

/// What libbpf writes differs from ours in descriptors and kernel ids only, where ours has indexes.
fn comparable(insns: &[RawInsn], ours: bool) -> Vec<RawInsn> {
    let mut insns = insns.to_vec();
    for index in 0..insns.len() {
        let insn = insns[index];
        if insn.is_wide() {
            match insn.src {
                opcode::PSEUDO_MAP_FD | opcode::PSEUDO_MAP_VALUE => insns[index].imm = 0,
                // An address or a weak variable that is absent is a plain number to libbpf.
                opcode::PSEUDO_BTF_ID => {
                    (insns[index].src, insns[index].imm) = (0, 0);
                    insns[index + 1].imm = 0;
                }
                _ => {}
            }
        }
        let is_kfunc = insn.opcode == 0x85 && insn.src == opcode::PSEUDO_KFUNC_CALL;
        let is_absent_kfunc = insn.opcode == 0x85 && insn.src == 0 && insn.imm >= 2_002_000_000;
        if is_kfunc || (is_absent_kfunc && !ours) {
            (insns[index].src, insns[index].imm, insns[index].offset) = (opcode::PSEUDO_KFUNC_CALL, 0, 0);
        }
    }
    insns
}

/// Slots that differ; wide loads of kernel symbols are plain numbers in libbpf's.
fn differences(program: &Program, theirs: &[RawInsn]) -> Vec<usize> {
    let symbol = |index: usize| {
        let is_symbol = |insn: &RawInsn| insn.is_wide() && insn.src == opcode::PSEUDO_BTF_ID;
        program.insns.get(index).is_some_and(is_symbol)
            || index.checked_sub(1).and_then(|index| program.insns.get(index)).is_some_and(is_symbol)
    };
    let (ours, theirs) = (comparable(&program.insns, true), comparable(theirs, false));
    (0..ours.len().max(theirs.len())).filter(|&index| !symbol(index) && ours.get(index) != theirs.get(index)).collect()
}

#[test]
#[ignore = "needs libbpf's relocated instructions in KPTRSIM_INSNS"]
fn relocated_instructions_are_libbpfs() {
    let folder = std::env::var("KPTRSIM_OBJECTS").expect("KPTRSIM_OBJECTS names a folder");
    let text = |name| std::fs::read_to_string(std::env::var(name).expect(name)).expect("it can be read");
    let btf = std::fs::read(std::env::var("KPTRSIM_BTF").expect("KPTRSIM_BTF")).expect("the BTF can be read");
    let btf = Btf::parse(&btf).expect("the kernel's BTF parses");
    let config = text("KPTRSIM_CONFIG");
    let options = LoadOptions { kernel_btf: Some(&btf), kernel_config: Some(&config), ..LoadOptions::default() };
    let mut objects = BTreeMap::new();
    let (mut compared, mut different) = (0, Vec::new());
    for line in text("KPTRSIM_INSNS").lines() {
        let record: serde_json::Value = serde_json::from_str(line).expect("a JSON object");
        // Where libbpf gave up (a module's kfuncs, say), it left the instructions as they were.
        if record["verdict"] == "not_reached" {
            continue;
        }
        let (Some(name), Some(program), Some(hex)) =
            (record["object"].as_str(), record["program"].as_str(), record["insns"].as_str())
        else {
            continue;
        };
        let object = objects.entry(name.to_owned()).or_insert_with(|| {
            let bytes = std::fs::read(Path::new(&folder).join(name)).expect("the object can be read");
            Object::parse(name, &bytes, &options).expect("the object loads")
        });
        let bytes: Vec<u8> = (0..hex.len() / 2)
            .map(|index| u8::from_str_radix(&hex[index * 2..index * 2 + 2], 16).expect("hexadecimal"))
            .collect();
        let theirs = RawInsn::read_all(&bytes);
        let ours = object.programs.iter().find(|ours| ours.name == program).expect("a program of that name");
        if theirs.is_empty() {
            continue;
        }
        compared += 1;
        let slots = differences(ours, &theirs);
        if let Some(&slot) = slots.first() {
            different.push(format!(
                "{name} {program}: {} of {}/{} slots, first {slot}: {:?} for {:?}",
                slots.len(),
                ours.insns.len(),
                theirs.len(),
                ours.insns.get(slot),
                theirs.get(slot)
            ));
        }
    }
    println!("{compared} programs compared, {} differ", different.len());
    different.iter().for_each(|line| println!("  {line}"));
    assert!(compared > 0);
    assert_eq!(different, Vec::<String>::new());
}
