//! What pages say, held against what the commands print.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::browser::Browser;
use super::data::{fact, list, read, state, steps};

/// An object whose programs the verifier refuses.
pub const OBJECT: &str = "tests/objects/percpu_slot.bpf.o";
/// One whose programs it accepts.
const ACCEPTED: &str = "examples/percpu_counter.bpf.o";
/// A race, as words of the command line.
pub const RACE: [&str; 5] = ["examples/percpu_counter.bpf.o", "--first", "create", "--on", "0:count,sum"];
/// What the other CPU does in it.
pub const OTHER: [&str; 2] = ["--on", "1:sum,destroy"];
/// A window on a desk.
pub const DESK: (u32, u32) = (1400, 1000);

/// What a command prints. It must not fail for wrong use.
pub fn kptrsim(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kptrsim"));
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().expect("the binary runs");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_ne!(output.status.code(), Some(2), "{arguments:?}: {complaint}");
    String::from_utf8(output.stdout).expect("text")
}

/// The JSON objects that a command prints.
fn records(arguments: &[&str]) -> Vec<Value> {
    let printed = kptrsim(&[arguments, &["--format", "json"]].concat());
    printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// A page of a command's, in a folder that lasts as long as it is looked at.
pub struct Written {
    /// Its file.
    pub file: PathBuf,
    _folder: TempDir,
}

/// Writes a page: the command and its words, and the option that takes the file.
pub fn write(arguments: &[&str], option: &str) -> Written {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("page.html");
    kptrsim(&[arguments, &[option, file.to_str().expect("a name")]].concat());
    Written { file, _folder: folder }
}

/// The page of the object's verdicts.
pub fn report() -> Written {
    write(&["report", OBJECT], "-o")
}

/// The page of the race.
pub fn race() -> Written {
    write(&[&["explore"], &RACE[..], &OTHER[..]].concat(), "--html")
}

fn facts_shown(browser: &Browser) -> Vec<(String, String)> {
    let rows = browser.value(
        "[...document.querySelectorAll('#verdict .facts div')].map((e) => [e.children[0].textContent, e.children[1].textContent])",
    );
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    list(&rows).iter().map(|row| (text(&row[0]), text(&row[1]))).collect()
}

fn clean(browser: &Browser) {
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

pub fn verdicts_and_counts_are_those_of_verify() {
    for (object, verdict) in [(OBJECT, "reject"), (ACCEPTED, "accept")] {
        let verdicts = records(&["verify", object]);
        assert!(verdicts.iter().all(|one| one["verdict"] == verdict), "{verdicts:?}");
        of_object(object, &verdicts);
    }
}

fn of_object(object: &str, verdicts: &[Value]) {
    let page = write(&["report", object], "-o");
    let data = read(&page.file);
    let browser = Browser::open(&page.file, "", DESK);
    assert_eq!(browser.value("document.querySelectorAll('#views a').length"), json!(verdicts.len()));
    for (verdict, view) in verdicts.iter().zip(list(&data["views"])) {
        let name = verdict["program"].as_str().expect("a name");
        assert_eq!(view["title"], name);
        browser.show(&page.file, &format!("#view={name}"));
        let shown = facts_shown(&browser);
        let shows = |fact: &str, value: String| {
            assert!(shown.contains(&(fact.to_owned(), value.clone())), "{name}: {fact} {value} in {shown:?}");
        };
        shows("instructions processed", verdict["insns_processed"].to_string());
        shows("states", verdict["total_states"].to_string());
        shows("stack", verdict["stack_depth"].as_str().expect("text").to_owned());
        let badge = browser.text_of("#verdict .badge");
        if verdict["verdict"] == "accept" {
            assert!(badge.contains("accepted"), "{badge}");
            continue;
        }
        assert!(badge.contains("rejected"), "{badge}");
        shows("rule", verdict["rule"].as_str().expect("text").to_owned());
        shows("errno", verdict["errno"].to_string());
        shows("instruction", verdict["insn"].to_string());
        assert_eq!(browser.text_of("#verdict .verdict"), verdict["reason"].as_str().expect("text"));
        // It opens where the verdict fell, and that is drawn as such.
        assert_eq!(browser.text_of("#bytecode .current .number"), verdict["insn"].to_string());
        assert_eq!(browser.text_of("#source .current .text"), verdict["source"]["text"].as_str().expect("text"));
        assert_eq!(browser.value("document.querySelectorAll('#graph .block.failed.current').length"), json!(1));
        assert!(browser.text_of("#verdict .story li.error").contains(verdict["reason"].as_str().expect("text")));
    }
    clean(&browser);
    browser.picture(&format!("verification-{}", verdicts.len()));
}

pub fn results_of_a_run_are_those_of_run() {
    let words = ["run", OBJECT, "--prog", "make", "--prog", "count", "--prog", "sum", "--prog", "take_down"];
    let words = [&words[..], &["--cpus", "2", "--set", "cpus=2"]].concat();
    let results = &records(&words)[0];
    let page = write(&words, "--html");
    let data = read(&page.file);
    let browser = Browser::open(&page.file, "", DESK);
    let shown = facts_shown(&browser);
    for run in list(&results["programs"]) {
        let name = format!("{} on CPU {}", run["program"].as_str().expect("a name"), run["cpu"]);
        assert!(shown.contains(&(name, format!("returned {}", run["retval"]))), "{run} in {shown:?}");
    }
    assert!(browser.text_of("#report pre").contains(&format!("total = {}", results["globals"]["total"])));
    let objects = list(&data["views"][0]["timeline"]["objects"]);
    let states = |life: &Value| -> Vec<String> {
        list(&life["spans"]).iter().map(|span| span["state"].as_str().expect("a state").to_owned()).collect()
    };
    assert_eq!(objects.len(), 1);
    let life = states(&objects[0]);
    assert_eq!((life[0].as_str(), life[1].as_str()), ("owned", "published"), "{life:?}");
    assert!(life.contains(&"borrowed".to_owned()) && life.last().is_some_and(|last| last == "waiting"), "{life:?}");
    assert_eq!(list(&results["pending"]).len(), 1, "what waits in the run waits on the page");
    for state in &life {
        let bars = browser.value(&format!("document.querySelectorAll('#timeline .bar.{state} rect').length"));
        assert!(bars.as_u64().is_some_and(|bars| bars > 0), "{state}");
    }
    clean(&browser);
    browser.picture("run");
}

pub fn findings_and_outcomes_are_those_of_explore() {
    let words = [&["explore"], &RACE[..], &OTHER[..]].concat();
    let records = records(&words);
    let of = |kind: &str| records.iter().filter(|one| one["record"] == kind).cloned().collect::<Vec<Value>>();
    let page = race();
    let data = read(&page.file);
    let browser = Browser::open(&page.file, "", DESK);
    let (findings, outcomes) = (of("finding"), of("outcome"));
    assert!(!findings.is_empty(), "{records:?}");
    assert_eq!(fact(&data["facts"], "findings"), findings.len().to_string());
    assert_eq!(fact(&data["facts"], "outcomes"), outcomes.len().to_string());
    let rows = browser.value(
        "[...document.querySelectorAll('#outcomes tr')].slice(1).map((e) => [...e.cells].map((c) => c.textContent))",
    );
    let expected: Vec<Value> = outcomes.iter().map(|one| json!([one["runs"].to_string(), one["outcome"]])).collect();
    assert_eq!(rows, json!(expected));
    for (finding, view) in findings.iter().zip(list(&data["views"])) {
        let name = view["name"].as_str().expect("a name");
        browser.show(&page.file, &format!("#view={name}"));
        let shown = facts_shown(&browser);
        assert!(
            shown.contains(&("token".to_owned(), finding["shortest"].as_str().expect("a token").to_owned())),
            "{shown:?}"
        );
        assert!(
            shown
                .iter()
                .any(|(name, value)| name == "found in" && value.starts_with(&format!("{} of", finding["runs"])))
        );
        let arrows = list(&view["timeline"]["arrows"]).len();
        let token = finding["shortest"].as_str().expect("a token");
        let replayed = &self::records(&[&["replay", token], &RACE[..], &OTHER[..]].concat())[0];
        let races = list(&replayed["findings"]).iter().filter(|one| one["kind"] == "data-race").count();
        assert_eq!(arrows, races, "{replayed}");
        let errors: Vec<&Value> = list(&view["story"]).iter().filter(|note| note["kind"] == "error").collect();
        assert_eq!(errors.len(), list(&replayed["findings"]).len());
        let kind = finding["detail"]["kind"].as_str().expect("a kind");
        assert!(errors[0]["text"].as_str().is_some_and(|text| text.contains(kind)), "{kind}: {errors:?}");
        assert_eq!(browser.value("document.querySelectorAll('#timeline .arrow').length"), json!(arrows));
    }
    clean(&browser);
    browser.picture("exploration");
    replayed(&findings[0]);
}

/// A finding's token gives a page with the same schedule.
fn replayed(finding: &Value) {
    let token = finding["shortest"].as_str().expect("a token");
    let page = write(&[&["replay", token], &RACE[..], &OTHER[..]].concat(), "--html");
    let browser = Browser::open(&page.file, "", DESK);
    assert_eq!(fact(&read(&page.file)["views"][0]["facts"], "token"), token);
    let steps = fact(&read(&page.file)["views"][0]["facts"], "steps of the schedule").to_owned();
    assert_eq!(steps, finding["shortest_steps"].to_string());
    assert!(browser.text_of("#verdict .badge").contains("wrong"));
    clean(&browser);
}

/// Text that would be more than text if it were not escaped.
const HOSTILE: [(&str, &str); 3] = [
    ("\treturn bpf_map_lookup_elem(&slots, &key);", "</script><script>hacked=1</script>&amp;<i>"),
    ("percpu_counter.bpf.c", "<img src=x id=im>.c'"),
    ("destroy", "<b>\"'&;"),
];

pub fn hostile_names_stay_text() {
    let object = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/percpu_counter.bpf.o");
    let mut bytes = fs::read(object).expect("the example");
    for (name, hostile) in HOSTILE {
        let mut hostile = hostile.as_bytes().to_vec();
        hostile.resize(name.len(), b'!');
        let found: Vec<usize> =
            (0..bytes.len() - name.len()).filter(|&at| bytes[at..].starts_with(name.as_bytes())).collect();
        assert!(!found.is_empty(), "{name}");
        for at in found {
            bytes[at..at + name.len()].copy_from_slice(&hostile);
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let object = folder.path().join("hostile.bpf.o");
    fs::write(&object, bytes).expect("a file");
    let page = write(&["report", object.to_str().expect("a name")], "-o");
    let data = read(&page.file);
    let browser = Browser::open(&page.file, "", DESK);
    assert_eq!(browser.value("typeof hacked"), json!("undefined"));
    assert_eq!(browser.value("document.querySelectorAll('img, i, #im, #views b').length"), json!(0));
    let titles: Vec<&str> = list(&data["views"]).iter().filter_map(|view| view["title"].as_str()).collect();
    assert!(titles.contains(&HOSTILE[2].1), "{titles:?}");
    let shown = browser.text("document.querySelector('#source').textContent");
    assert!(shown.contains("</script><script>hacked=1</script>&amp;"), "{shown}");
    clean(&browser);
}

pub fn a_page_is_one_file_and_always_the_same() {
    let pages = || [report(), race()].map(|page| fs::read_to_string(&page.file).expect("the page was written"));
    let [verified, explored] = pages();
    assert_eq!([verified.clone(), explored.clone()], pages());
    for html in [verified, explored] {
        assert!(html.len() < 500_000, "{} bytes", html.len());
        let head = &html[..html.find("id=\"page-data\"").expect("the data")];
        for outside in ["http:", "https:", "src=\"", "@import", "url("] {
            let found = head.find(outside).filter(|at| !head[*at..].starts_with("http://www.w3.org/"));
            let found = found.filter(|at| !head[..*at].ends_with("xmlns='"));
            assert_eq!(found, None, "{outside}");
        }
        assert!(head.contains("default-src 'none'"));
    }
}

pub fn programs_that_run_last_are_stepped() {
    let words = ["--set", "nr_cpus=2", "--first", "create", "--on", "0:count", "--on", "1:count", "--last", "1:sum"];
    let words = [&["explore", ACCEPTED][..], &words[..]].concat();
    let outcomes: Vec<Value> = records(&words).into_iter().filter(|one| one["record"] == "outcome").collect();
    let data = read(&write(&words, "--html").file);
    assert!(!outcomes.is_empty() && list(&data["views"]).len() >= outcomes.len());
    let sum = list(&data["programs"]).iter().position(|program| program["name"] == "sum").expect("its code is shown");
    for view in list(&data["views"]) {
        let path = steps(view, 0);
        let of_sum: Vec<usize> =
            (0..path.len()).filter(|&position| view["steps"][path[position]]["program"] == json!(sum)).collect();
        let (first, last) = (of_sum[0], of_sum[of_sum.len() - 1]);
        assert_eq!(of_sum, (first..=last).collect::<Vec<_>>(), "nobody runs between");
        assert_eq!(last, path.len() - 2, "then the run is over");
        let step = |position: usize| &view["steps"][path[position]];
        let came = step(first)["came"].as_u64().and_then(|text| data["texts"][text as usize].as_str());
        assert_eq!(came, Some("sum starts, now that all others are done"));
        let lane = step(first)["lane"].as_u64().expect("a lane") as usize;
        assert_eq!(view["lanes"][lane], "CPU 1", "{view}");
        let result = state(&data, view, &path, last).remove(&("register".to_owned(), 0, "r0".to_owned()));
        let result = result.expect("it returns something");
        assert!(fact(&view["facts"], "outcome").contains(&format!("last=[{result}]")), "{result} in {}", view["facts"]);
    }
}
