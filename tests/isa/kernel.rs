//! Random programs in a real kernel: its own interpreter or just-in-time compiler, after its verifier's rewriting.

use std::fmt::Write;
use std::process::Command;
use std::{env, fs};

use kptrsim::crosscheck::protocol::{RunStep, TestRunRequest, Trigger};
use kptrsim::crosscheck::{BootOptions, Cache, Judge, guest};

use super::exhaustive::check;
use super::program::{Program, bytes};
use super::random;
use super::reference;
use super::rows::Table;

/// How many programs.
const COUNT: usize = 300;

/// C whose functions are the programs, each with its own part of one array.
fn source(programs: &[Program]) -> String {
    let size = programs[0].memory.len();
    let mut text = String::from("#define SEC(name) __attribute__((section(name), used))\n");
    let _ = write!(text, "unsigned char buffer[{}] __attribute__((aligned(8))) = {{", size * programs.len());
    for byte in programs.iter().flat_map(|program| &program.memory) {
        let _ = write!(text, "{byte},");
    }
    text.push_str("};\nchar _license[] SEC(\"license\") = \"GPL\";\n");
    for (index, program) in programs.iter().enumerate() {
        let _ = write!(text, "SEC(\"socket\") __attribute__((naked)) int p{index}(void)\n{{\n\tasm volatile(");
        let _ = writeln!(text, "\"r9 = %[buffer] ll; r9 += {};\"", index * size);
        for slot in bytes(&program.slots).as_chunks::<8>().0 {
            let _ = writeln!(text, "\t\t\".8byte {:#x};\"", u64::from_le_bytes(*slot));
        }
        text.push_str("\t\t:: [buffer]\"i\"(buffer));\n}\n");
    }
    text
}

fn compile(source: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let (input, output) = (folder.path().join("isa.bpf.c"), folder.path().join("isa.bpf.o"));
    fs::write(&input, source).expect("the source can be written");
    let clang = ["clang-19", "clang"].into_iter().find(|name| Command::new(name).arg("--version").output().is_ok());
    let status = Command::new(clang.expect("clang is installed"))
        .args(["-target", "bpf", "-mcpu=v4", "-O2", "-g", "-c"])
        .arg(&input)
        .arg("-o")
        .arg(&output)
        .status()
        .expect("clang runs");
    assert!(status.success(), "clang failed");
    fs::read(&output).expect("clang wrote the object")
}

pub fn random_programs() {
    let table = Table::new();
    let programs = random::for_a_kernel(&table, COUNT);
    let step = |index: usize| RunStep {
        program: format!("p{index}"),
        trigger: Trigger::Auto,
        data_in: None,
        ctx_in: None,
        repeat: 0,
        cpu: None,
    };
    let request = TestRunRequest {
        globals: Vec::new(),
        steps: (0..COUNT).map(step).collect(),
        companions: Vec::new(),
        timeout_seconds: 120,
    };
    let cache = Cache::of_user().expect("there is a cache");
    let image = match env::var_os("KPTRSIM_TEST_IMAGE") {
        Some(path) => kptrsim::crosscheck::KernelImage::open(path.as_ref()),
        None => cache.default_kernel(),
    };
    let guest = guest::locate(&cache, None, &mut |line| eprintln!("{line}")).expect("the guest can be built");
    let mut judge = Judge::new(image.expect("there is a kernel"), BootOptions::new(guest));
    let result = judge.test_run(&compile(&source(&programs)), request).expect("the kernel runs");
    assert_eq!(result.error, None);
    let map = result.maps.iter().find(|map| map.name == ".data").expect("the buffer comes back");
    let text = &map.entries[0].values[0];
    let size = programs[0].memory.len();
    for (index, program) in programs.iter().enumerate() {
        assert_eq!((result.steps[index].errno, result.steps[index].retval), (0, 0), "program {index}");
        check(&table, &format!("program {index}"), program);
        let wanted: String = reference::run(&table, program).memory.iter().map(|byte| format!("{byte:02x}")).collect();
        let found = &text[2 * size * index..][..2 * size];
        assert_eq!(found, wanted, "program {index}: {:#?}", program.slots);
    }
}
