//! The book (`docs/`) and the README: every command in them is run, and prints what they say; every link leads somewhere.
//!
//! A block fenced as `console` holds commands, each after `$ `, and what they print. In it, a line `...` stands for any lines, and
//! `[..]` for any text within one. The blocks of a page are run one after another in one folder, which holds the repository's
//! `examples`, `tests` and `kfuncs`. A block `console,kernel` asks a real kernel and is run with `KPTRSIM_TEST_KERNEL=1`, once
//! the guest program is built; what compiles needs clang. `KPTRSIM_BLESS=1` writes what was printed into the pages where it differs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::OnceLock;

use kptrsim::crosscheck::{Cache, guest};
use libtest_mimic::{Arguments, Failed, Trial};

const TOP: &str = env!("CARGO_MANIFEST_DIR");

/// Where readers are taken to have the repository.
const HOME: &str = "/home/you/kptrsim";

/// Folders and files that the commands of a page find where they run.
const SHARED: [&str; 5] = ["examples", "tests", "kfuncs", "src", "docs"];

/// How the part of the table of contents begins that is made of the table of rules.
const RULES: &str = "# Rules of the verifier\n\n- [How these pages are written](rules/README.md)\n";

type Outcome = Result<(), Failed>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let set = |name: &str| std::env::var(name).is_ok_and(|value| value == "1");
    let means = Means {
        clang: set("KPTRSIM_REQUIRE_CLANG") || Command::new("clang-19").arg("--version").output().is_ok(),
        kernel: set("KPTRSIM_TEST_KERNEL"),
        bless: set("KPTRSIM_BLESS"),
    };
    let mut trials = vec![
        Trial::test("summary", summary_lists_all_pages),
        Trial::test("rules", move || summary_lists_rules_by_family(means)),
        Trial::test("links", links_lead_somewhere),
        Trial::test("mdbook", the_built_book_has_no_broken_link).with_ignored_flag(mdbook().is_none()),
        Trial::test("wildcards", wildcards_stand_for_text),
        Trial::test("cli reference", cli_reference_has_all_commands),
    ];
    for page in pages() {
        let name = page.strip_prefix(TOP).unwrap_or(&page).display().to_string();
        trials.push(Trial::test(name, move || run_page(&page, means)));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// What is at hand, and what to do.
#[derive(Clone, Copy)]
struct Means {
    clang: bool,
    kernel: bool,
    bless: bool,
}

/// README and all Markdown files of the book.
fn pages() -> Vec<PathBuf> {
    fn collect(folder: &Path, pages: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, pages);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    let mut pages = vec![Path::new(TOP).join("README.md")];
    collect(&Path::new(TOP).join("docs"), &mut pages);
    pages.sort();
    pages
}

/// A command with what the page says that it prints.
#[derive(Debug)]
struct Step {
    /// Line of the page, from 0, at which it stands.
    line: usize,
    command: String,
    /// Lines of the page that are its output.
    output: std::ops::Range<usize>,
    kernel: bool,
}

/// The commands of a page's console blocks.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside: Option<bool> = None;
    let mut continued = false;
    for (line, content) in text.lines().enumerate() {
        match (inside, content.strip_prefix("```")) {
            (None, Some(fence)) => {
                let mut words = fence.split(',');
                inside = (words.next() == Some("console")).then(|| words.any(|word| word == "kernel"));
                if inside.is_none() && !fence.is_empty() || inside.is_some() {
                    continue;
                }
            }
            (Some(_), Some(_)) => inside = None,
            (Some(kernel), None) => match (content.strip_prefix("$ "), steps.last_mut()) {
                (_, Some(last)) if continued => {
                    last.command.push('\n');
                    last.command.push_str(content);
                    last.output = line + 1..line + 1;
                }
                (Some(command), _) => {
                    steps.push(Step { line, command: command.to_owned(), output: line + 1..line + 1, kernel });
                }
                (None, Some(last)) => last.output.end = line + 1,
                (None, None) => {}
            },
            (None, None) => {}
        }
        continued = inside.is_some() && content.ends_with('\\') && (continued || content.starts_with("$ "));
    }
    steps
}

fn run_page(page: &Path, means: Means) -> Outcome {
    let text = fs::read_to_string(page)?;
    let lines: Vec<&str> = text.lines().collect();
    let steps = steps(&text);
    if steps.is_empty() {
        return Ok(());
    }
    let folder = workplace()?;
    let place = folder.path().canonicalize()?;
    let mut wrong = Vec::new();
    let mut mended: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    for step in steps {
        let compiles = [".bpf.c", ".toml", "cc "].iter().any(|word| step.command.contains(word));
        if step.kernel && !means.kernel || compiles && !means.clang {
            continue;
        }
        if step.kernel {
            guest_is_built()?;
        }
        let (code, printed) = run(&place, &step.command)?;
        let printed = printed.replace(&place.display().to_string(), HOME);
        let said = lines[step.output.clone()].join("\n");
        if matches!(code, Some(0 | 1 | 3)) && matches(said.trim_end(), printed.trim_end()) {
            continue;
        }
        wrong.push(format!("line {}: $ {}\n(exit code {code:?})\n{printed}", step.line + 1, step.command));
        mended.push((step.output, anonymous(printed.trim_end())));
    }
    if means.bless && !mended.is_empty() {
        fs::write(page, replaced(&lines, &mended))?;
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// Builds the guest program where it is missing, as the first command to need it would say that it builds it.
fn guest_is_built() -> Outcome {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let build = || {
        let built = Cache::of_user().and_then(|cache| guest::locate(&cache, None, &mut |_| {}));
        built.map(drop).map_err(|error| error.to_string())
    };
    BUILT.get_or_init(build).clone().map_err(Failed::from)
}

/// A folder like the repository's, for one page.
fn workplace() -> Result<tempfile::TempDir, Failed> {
    let folder = tempfile::tempdir()?;
    for name in SHARED {
        std::os::unix::fs::symlink(Path::new(TOP).join(name), folder.path().join(name))?;
    }
    let programs = folder.path().join(".bin");
    fs::create_dir(&programs)?;
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kptrsim"), programs.join("kptrsim"))?;
    Ok(folder)
}

/// Runs a command as a shell does; its exit code, and what it prints to either output.
fn run(place: &Path, command: &str) -> Result<(Option<i32>, String), Failed> {
    let path = format!("{}:{}", place.join(".bin").display(), std::env::var("PATH")?);
    let output = Command::new("bash")
        .args(["-c", &format!("exec 2>&1\n{command}")])
        .current_dir(place)
        .env("PATH", path)
        .env("LC_ALL", "C")
        .env_remove("COLUMNS")
        .stdin(Stdio::null())
        .output()?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// Do the lines fit those of the page, with its wildcards?
fn matches(said: &str, printed: &str) -> bool {
    fn lines_match(said: &[&str], printed: &[&str]) -> bool {
        match said {
            [] => printed.is_empty(),
            ["..."] => true,
            ["...", rest @ ..] => (0..=printed.len()).any(|skipped| lines_match(rest, &printed[skipped..])),
            [line, rest @ ..] => match printed {
                [other, others @ ..] => line_matches(line.trim_end(), other.trim_end()) && lines_match(rest, others),
                [] => false,
            },
        }
    }
    let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    let (said, printed) = (lines(said), lines(printed));
    let as_text = |lines: &[String]| -> Vec<String> { lines.iter().map(|line| line.trim_end().to_owned()).collect() };
    let (said, printed) = (as_text(&said), as_text(&printed));
    let said: Vec<&str> = said.iter().map(|line| if line.trim() == "..." { "..." } else { line.as_str() }).collect();
    lines_match(&said, &printed.iter().map(String::as_str).collect::<Vec<_>>())
}

fn line_matches(said: &str, printed: &str) -> bool {
    let mut parts = said.split("[..]");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

/// What differs from machine to machine, as a wildcard: digests of objects that were compiled there.
fn anonymous(printed: &str) -> String {
    let Ok(token) = regex::Regex::new(r"(ks1:[^:\s]+):[0-9a-f]{16}:(\S+\.(?:toml|c)):[0-9a-f]{8}") else {
        return printed.to_owned();
    };
    token.replace_all(printed, "$1:[..]:$2:[..]").into_owned()
}

fn replaced(lines: &[&str], mended: &[(std::ops::Range<usize>, String)]) -> String {
    let mut text = String::new();
    let mut at = 0;
    for (range, output) in mended {
        for line in &lines[at..range.start] {
            text.push_str(line);
            text.push('\n');
        }
        if !output.is_empty() {
            text.push_str(output);
            text.push('\n');
        }
        // A blank line before the next command stays.
        if lines[range.clone()].last().is_some_and(|line| line.is_empty()) {
            text.push('\n');
        }
        at = range.end;
    }
    for line in &lines[at..] {
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn wildcards_stand_for_text() -> Outcome {
    let holds = [
        ("a\n...\nc", "a\nb\nb\nc"),
        ("a\n...", "a"),
        ("x [..] y [..]", "x 1 2 y 3"),
        ("same", "same"),
        ("...\nlast", "last"),
    ];
    let fails = [("a\n...\nc", "a\nb"), ("x [..] y", "x 1 z"), ("a", "a\nb"), ("", "a"), ("a[..]a", "a")];
    for (said, printed) in holds {
        if !matches(said, printed) {
            return Err(format!("`{said}` should fit `{printed}`").into());
        }
    }
    match fails.iter().find(|(said, printed)| matches(said, printed)) {
        Some((said, printed)) => Err(format!("`{said}` should not fit `{printed}`").into()),
        None => Ok(()),
    }
}

/// The links of a Markdown text outside of its code, without those to other sites.
fn links(text: &str) -> Vec<String> {
    let Ok(link) = regex::Regex::new(r"\]\(([^)\s]+)\)") else { return Vec::new() };
    let mut code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
        } else if !code {
            found.extend(link.captures_iter(line).map(|one| one[1].to_owned()));
        }
    }
    found.retain(|target| !target.contains("://") && !target.starts_with('#'));
    found
}

fn links_lead_somewhere() -> Outcome {
    let docs = Path::new(TOP).join("docs");
    let mut broken = Vec::new();
    for page in pages() {
        let folder = page.parent().unwrap_or(Path::new(TOP));
        let is_in_book = page.starts_with(&docs);
        let text = fs::read_to_string(&page)?;
        let text = if is_in_book { with_included(&text, folder)? } else { text };
        for target in links(&text) {
            let file = target.split('#').next().unwrap_or_default();
            let leads = match folder.join(file).canonicalize() {
                // What lies beside the book is not there where the book is read.
                Ok(file) => !is_in_book || file.starts_with(docs.canonicalize()?),
                Err(_) => false,
            };
            if !leads {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(broken.join("\n").into()) }
}

/// A page's text as mdbook puts it together: with what it includes.
fn with_included(text: &str, folder: &Path) -> Result<String, Failed> {
    let mut whole = String::new();
    for line in text.lines() {
        match line.strip_prefix("{{#include ").and_then(|rest| rest.strip_suffix("}}")) {
            Some(file) => {
                let included = fs::read_to_string(folder.join(file.trim()));
                whole.push_str(&included.map_err(|error| format!("{line}: {error}"))?);
            }
            None => whole.push_str(line),
        }
        whole.push('\n');
    }
    Ok(whole)
}

/// The mdbook that is found, if one is.
fn mdbook() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join("mdbook")).find(|file| file.is_file())
}

/// mdbook builds the book, and in what it makes every link leads to a file and to a place in it.
fn the_built_book_has_no_broken_link() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mdbook = mdbook().ok_or("there is no mdbook")?;
    let built =
        Command::new(mdbook).arg("build").arg(Path::new(TOP).join("docs")).arg("-d").arg(folder.path()).output()?;
    if !built.status.success() {
        return Err(String::from_utf8_lossy(&built.stderr).into_owned().into());
    }
    let mut files = Vec::new();
    html_files(folder.path(), &mut files)?;
    let mut texts = BTreeMap::new();
    for file in files {
        texts.insert(file.canonicalize()?, fs::read_to_string(&file)?);
    }
    if texts.len() < pages().len() {
        return Err(format!("{} files of {} pages", texts.len(), pages().len()).into());
    }
    let mut broken = Vec::new();
    // One has the pages in one; the other is for addresses that are not there.
    let parts = texts.iter().filter(|(file, _)| !file.ends_with("print.html") && !file.ends_with("404.html"));
    for (file, text) in parts {
        for target in attributes(text, "href").chain(attributes(text, "src")) {
            let (path, place) = target.split_once('#').unwrap_or((target, ""));
            if target.contains("://") || target.starts_with("data:") {
                continue;
            }
            let other = match path {
                "" => file.clone(),
                path => file.parent().unwrap_or(folder.path()).join(path).canonicalize().unwrap_or_default(),
            };
            let has_place = |text: &String| place.is_empty() || attributes(text, "id").any(|id| id == place);
            if !(other.exists() && texts.get(&other).is_none_or(has_place)) {
                broken.push(format!("{}: {target}", file.display()));
            }
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(broken.join("\n").into()) }
}

/// All HTML files in a folder.
fn html_files(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            html_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "html") {
            files.push(path);
        }
    }
    Ok(())
}

/// The values of an attribute in a page as mdbook writes it.
fn attributes<'t>(text: &'t str, name: &str) -> impl Iterator<Item = &'t str> {
    let before = format!(" {name}=\"");
    let starts: Vec<usize> = text.match_indices(&before).map(|(at, found)| at + found.len()).collect();
    starts.into_iter().filter_map(move |start| text[start..].split('"').next())
}

/// The book's table of contents has each page of `docs/` once, and no other.
fn summary_lists_all_pages() -> Outcome {
    let docs = Path::new(TOP).join("docs");
    let listed = links(&fs::read_to_string(docs.join("SUMMARY.md"))?);
    let once: BTreeSet<PathBuf> = listed.iter().map(|target| docs.join(target)).collect();
    let summary = docs.join("SUMMARY.md");
    let there: BTreeSet<PathBuf> =
        pages().into_iter().filter(|page| page.starts_with(&docs) && *page != summary).collect();
    let missing: Vec<_> = there.difference(&once).collect();
    let unknown: Vec<_> = once.difference(&there).collect();
    if missing.is_empty() && unknown.is_empty() && once.len() == listed.len() {
        return Ok(());
    }
    Err(format!("not in SUMMARY.md: {missing:?}\nno page: {unknown:?}\n{} links to {} pages", listed.len(), once.len())
        .into())
}

/// The last part of the table of contents has the pages on rules, by the families of the table of rules.
fn summary_lists_rules_by_family(means: Means) -> Outcome {
    let summary = Path::new(TOP).join("docs/SUMMARY.md");
    let text = fs::read_to_string(&summary)?;
    let (before, _) = text.split_once(RULES).ok_or("SUMMARY.md has no part on rules")?;
    let mut expected = format!("{before}{RULES}");
    let mut family = "";
    for entry in kptrsim::report::rules::all() {
        if !Path::new(TOP).join(format!("docs/rules/{}.md", entry.id)).exists() {
            continue;
        }
        if entry.family != family {
            family = entry.family;
            expected.push_str(&format!("- [{family}]()\n"));
        }
        expected.push_str(&format!("  - [{0}](rules/{0}.md)\n", entry.id));
    }
    if text == expected {
        return Ok(());
    }
    if means.bless {
        fs::write(&summary, &expected)?;
    }
    Err("the rules in docs/SUMMARY.md are not those that have a page, by family; KPTRSIM_BLESS=1 writes them".into())
}

/// The reference shows the help of each command.
fn cli_reference_has_all_commands() -> Outcome {
    let page = fs::read_to_string(Path::new(TOP).join("docs/reference/cli.md"))?;
    let shown: BTreeSet<String> = steps(&page).into_iter().map(|step| step.command).collect();
    let (_, help) = run(Path::new(TOP), &format!("{} help", env!("CARGO_BIN_EXE_kptrsim")))?;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = commands.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    let missing: Vec<String> = names
        .filter(|name| *name != "help")
        .map(|name| format!("kptrsim {name} --help"))
        .filter(|command| !shown.contains(command))
        .collect();
    if missing.is_empty() && shown.len() > 10 {
        return Ok(());
    }
    Err(format!("docs/reference/cli.md does not show {missing:?}").into())
}
