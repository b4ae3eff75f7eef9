//! Loads every object in a folder; run by hand, on the kernel's compiled selftests:
//! `KPTRSIM_OBJECTS=DIR KPTRSIM_BTF=FILE cargo test --release --test selftests -- --ignored --nocapture`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use kptrsim::btf::Btf;
use kptrsim::object::{LoadOptions, Object};

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
