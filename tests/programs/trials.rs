//! What is checked about each program file.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use kptrsim::object::LoadOptions;
use libtest_mimic::{Failed, Trial};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};

use crate::expectation::Verdict;
use crate::format_tests;
use crate::kernel;
use crate::machine;
use crate::rejected;
use crate::source::{self, Clang, Folder, Source};
use crate::verifier;

/// Set to make a missing clang an error instead of a visible skip.
const REQUIRE_CLANG: &str = "KPTRSIM_REQUIRE_CLANG";

/// The object that is committed so that the first command in the main README needs no clang.
const COMMITTED: &str = "percpu_counter";

/// The fewest files that each folder is to have, so that none gets lost unnoticed.
const FEWEST: [(Folder, usize); 4] =
    [(Folder::Accept, 30), (Folder::Reject, 90), (Folder::Run, 20), (Folder::Examples, 7)];

/// All trials.
///
/// # Errors
/// When the program files cannot be read, or clang is required and missing.
pub fn all() -> Result<Vec<Trial>, String> {
    let sources: Vec<Arc<Source>> = source::find()?.into_iter().map(Arc::new).collect();
    let clang = Clang::find();
    if let Err(missing) = &clang {
        if std::env::var_os(REQUIRE_CLANG).is_some_and(|value| value == "1") {
            return Err(format!("{REQUIRE_CLANG}=1, but there is {missing}"));
        }
        eprintln!("skipping what has to be compiled: {missing}");
    }
    let mut trials = format_tests::trials();
    trials.push(none_is_missing(&sources));
    for source in &sources {
        let path = source.path();
        let file = Arc::clone(source);
        trials.push(Trial::test(format!("format {path}"), move || format(&file)));
        trials.push(with_clang(&clang, format!("compile {path}"), Arc::clone(source), compile));
        trials.push(with_clang(&clang, format!("load {path}"), Arc::clone(source), load));
        trials.push(with_clang(&clang, format!("verify {path}"), Arc::clone(source), verifier::verify));
        if source.expectations().is_ok_and(|expectations| !expectations.stories.is_empty()) {
            trials.push(with_clang(&clang, format!("run {path}"), Arc::clone(source), machine::run));
        }
        trials.extend(kernel_trials(&clang, source));
        if source.folder == Folder::Examples && source.name == COMMITTED {
            trials.push(with_clang(&clang, format!("committed {path}"), Arc::clone(source), committed));
        }
    }
    trials.extend(rejected::trials(&clang)?);
    Ok(trials)
}

/// A trial that needs clang: shown as ignored where there is none.
pub fn with_clang(
    clang: &Result<Clang, String>,
    name: String,
    source: Arc<Source>,
    check: fn(&Source, &Clang) -> Result<(), Failed>,
) -> Trial {
    let clang = clang.clone();
    let skip = clang.is_err();
    Trial::test(name, move || check(&source, &clang?)).with_ignored_flag(skip)
}

/// What a real kernel is asked about a file: shown as ignored unless a kernel is wanted.
fn kernel_trials(clang: &Result<Clang, String>, source: &Arc<Source>) -> Vec<Trial> {
    let path = source.path();
    let mut trials = vec![with_clang(clang, format!("kernel verify {path}"), Arc::clone(source), kernel::verify)];
    if source.expectations().is_ok_and(|expectations| kernel::runs_any(&expectations)) {
        trials.push(with_clang(clang, format!("kernel run {path}"), Arc::clone(source), kernel::run));
    }
    let skip = clang.is_err() || !kernel::is_wanted();
    trials.into_iter().map(|trial| trial.with_ignored_flag(skip)).collect()
}

fn none_is_missing(sources: &[Arc<Source>]) -> Trial {
    let counts = FEWEST.map(|(folder, fewest)| {
        let found = sources.iter().filter(|source| source.folder == folder).count();
        (folder, fewest, found)
    });
    Trial::test("no program file is missing", move || {
        for (folder, fewest, found) in counts {
            check(found >= fewest, || format!("{} has {found} files, at least {fewest} expected", folder.path()))?;
        }
        Ok(())
    })
}

/// The expectation can be read, and fits the folder that the file stands in.
fn format(source: &Source) -> Result<(), Failed> {
    let expectations = source.expectations()?;
    let verdicts = || expectations.programs.iter().map(|program| &program.verdict);
    match source.folder {
        Folder::Accept | Folder::Examples => {
            check(verdicts().all(|verdict| *verdict == Verdict::Accept), || "a rejected program among accepted ones")?;
        }
        Folder::Reject => {
            check(verdicts().count() == 1, || "a file of this folder has one program, for one reason")?;
            check(verdicts().all(|verdict| *verdict != Verdict::Accept), || "an accepted program among rejected ones")?;
        }
        Folder::Run | Folder::Rejected | Folder::Mended => {}
    }
    let told = !expectations.stories.is_empty();
    match source.folder {
        Folder::Run | Folder::Examples => check(told, || "nothing says what happens when it runs")?,
        Folder::Accept | Folder::Reject | Folder::Rejected | Folder::Mended => {
            check(!told, || "programs that run stand in tests/programs/run")?
        }
    }
    for program in &expectations.programs {
        if let Verdict::Reject(rejection) = &program.verdict {
            // Where the log shows an instruction it also shows the line that the instruction came from.
            check(rejection.insn.is_some() == rejection.line.is_some(), || "insn and // REJECT come together")?;
        }
    }
    Ok(())
}

/// Clang compiles it without a warning, and its programs are those that have expectations.
fn compile(source: &Source, clang: &Clang) -> Result<(), Failed> {
    let expectations = source.expectations()?;
    let expected: BTreeSet<&str> = expectations.programs.iter().map(|program| program.name.as_str()).collect();
    let elf = object::File::parse(source.compiled(clang)?)?;
    let mut entries = BTreeSet::new();
    for symbol in elf.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_global()) {
        let Some(index) = symbol.section_index() else { continue };
        // Functions in .text are called by others; entry programs stand in sections that name their type.
        if elf.section_by_index(index)?.name()? != ".text" {
            entries.insert(symbol.name()?);
        }
    }
    check(entries == expected, || format!("programs {entries:?}, expectations for {expected:?}"))
}

/// Our own loader takes all of it: every program, and nothing that it could not resolve.
fn load(source: &Source, clang: &Clang) -> Result<(), Failed> {
    let expectations = source.expectations()?;
    let loaded = kptrsim::object::Object::parse(&source.name, source.compiled(clang)?, &LoadOptions::default())?;
    let names: BTreeSet<&str> = loaded.programs.iter().map(|program| program.name.as_str()).collect();
    let expected: BTreeSet<&str> = expectations.programs.iter().map(|program| program.name.as_str()).collect();
    check(names == expected, || format!("programs {names:?}, expectations for {expected:?}"))?;
    for program in &loaded.programs {
        check(program.refused.is_none(), || format!("{}: {:?}", program.name, program.refused))?;
        check(!program.insns.is_empty(), || format!("{} has no code", program.name))?;
    }
    Ok(())
}

/// The committed object has the code that clang makes of its source today.
fn committed(source: &Source, clang: &Clang) -> Result<(), Failed> {
    let path = source::top().join(source.folder.path()).join(format!("{COMMITTED}.bpf.o"));
    let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (ours, fresh) = (code(&bytes)?, code(source.compiled(clang)?)?);
    check(!fresh.is_empty(), || "no code in the fresh object")?;
    check(ours == fresh, || {
        format!("{} is not what clang makes of {}; see tests/programs/README.md", path.display(), source.path())
    })
}

/// A section's name, its bytes, and the offsets of its relocations.
type Section = (String, Vec<u8>, Vec<u64>);

/// The sections with code and those with maps, licence and globals.
fn code(bytes: &[u8]) -> Result<Vec<Section>, Failed> {
    let elf = object::File::parse(bytes)?;
    let mut sections = Vec::new();
    for section in elf.sections() {
        if matches!(section.kind(), SectionKind::Text | SectionKind::Data | SectionKind::ReadOnlyData) {
            let relocations = section.relocations().map(|(offset, _)| offset).collect();
            sections.push((section.name()?.to_owned(), section.data()?.to_vec(), relocations));
        }
    }
    sections.sort();
    Ok(sections)
}

/// A failure with a message unless it holds.
pub fn check<M: Into<String>>(holds: bool, message: impl FnOnce() -> M) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(Failed::from(message().into())) }
}
