//! Stepping through a path, and what each step shows.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::browser::Browser;
use super::data::{list, read, state, steps};
use super::pages::{DESK, race, report};

/// Where the reader is: the position, from 1, and how many there are.
fn position(browser: &Browser) -> (usize, usize) {
    let count = browser.text_of("#count");
    let (at, of) = count.split_once(" of ").expect("a count");
    (at.parse().expect("a number"), of.parse().expect("a number"))
}

pub fn keys_and_mouse_step_through_a_path() {
    let page = report();
    let data = read(&page.file);
    let view = list(&data["views"]).iter().find(|view| view["status"] == "rejected").expect("a rejection");
    let path = steps(view, 0);
    let browser = Browser::open(&page.file, &format!("#view={}", view["name"].as_str().expect("a name")), DESK);
    assert_eq!(position(&browser), (path.len(), path.len()), "it opens where the program is refused");
    browser.press("Home");
    assert_eq!(position(&browser), (1, path.len()));
    for (at, &step) in path.iter().enumerate() {
        assert_eq!(position(&browser), (at + 1, path.len()));
        let slot = view["steps"][step]["slot"].to_string();
        assert_eq!(browser.text_of("#bytecode .current .number"), slot);
        assert_eq!(browser.text_of("#steps [aria-current] .number"), slot);
        assert!(browser.text_of("#now code").starts_with(&format!("{slot}: ")));
        browser.press(if at % 2 == 0 { "ArrowRight" } else { "j" });
    }
    assert_eq!(position(&browser), (path.len(), path.len()), "there is nothing behind the end");
    browser.press("k");
    browser.press("ArrowLeft");
    assert_eq!(position(&browser).0, path.len() - 2);
    browser.click("#back");
    assert_eq!(position(&browser).0, path.len() - 3);
    browser.click("#first");
    let line = browser.text_of("#source .current .number");
    browser.click("#line-on");
    assert_ne!(browser.text_of("#source .current .number"), line, "another line");
    browser.press_with("ArrowLeft", 8);
    assert_eq!(browser.text_of("#source .current .number"), line, "and back");
    browser.click("#graph .block.visited:last-of-type rect");
    assert!(browser.value("document.querySelectorAll('#graph .block.current.visited').length") == json!(1));
    let programs = list(&data["views"]).len();
    browser.press("]");
    browser.press("[");
    assert_eq!(browser.value("document.querySelectorAll('#views a').length"), json!(programs));
    assert_eq!(browser.text_of("#views [aria-current] .name"), view["title"].as_str().expect("a title"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// The values that the page shows before the step: kind, frame and name, and the value.
fn shown(browser: &Browser) -> BTreeMap<(String, u64, String), String> {
    let rows = browser.value(
        "[...document.querySelectorAll('#state > table tr')].filter((row) => !row.querySelector('.gone')).map((row) => \
         [row.closest('table').classList[1], (row.closest('table').caption?.textContent ?? 'frame 0').slice(6), \
          row.dataset.key, row.querySelector('.value').textContent])",
    );
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let row = |row: &Value| ((text(&row[0]), text(&row[1]).parse().expect("a frame"), text(&row[2])), text(&row[3]));
    list(&rows).iter().map(row).collect()
}

pub fn each_step_shows_the_state_of_the_data() {
    for page in [report(), race()] {
        let data = read(&page.file);
        let browser = Browser::open(&page.file, "", DESK);
        for view in list(&data["views"]).iter().take(4) {
            let path = steps(view, 0);
            assert!(path.len() > 5, "{}", view["name"]);
            browser.show(&page.file, &format!("#view={}&path=0&step=1", view["name"].as_str().expect("a name")));
            for at in 0..path.len() {
                assert_eq!(position(&browser).0, at + 1);
                assert_eq!(shown(&browser), state(&data, view, &path, at), "{} {at}", view["name"]);
                let changed = list(&view["steps"][path[at]]["changes"]).len();
                let marked = browser.value("document.querySelectorAll('#state tr.changed').length");
                assert!(marked.as_u64().is_some_and(|marked| marked <= changed as u64));
                browser.press("ArrowRight");
            }
            // Backwards by other ways: the states are put together from others.
            for at in [path.len() / 2, 0, path.len() - 1] {
                browser.value(&format!(
                    "location.hash = '#view={}&path=0&step={}'",
                    view["name"].as_str().expect("a name"),
                    path[at] + 1
                ));
                browser.until(&format!("document.getElementById('count').textContent.startsWith('{} of ')", at + 1));
                assert_eq!(shown(&browser), state(&data, view, &path, at), "{} {at}", view["name"]);
            }
        }
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
}

pub fn a_link_leads_to_its_step() {
    let page = race();
    let data = read(&page.file);
    let view = &data["views"][0];
    let browser = Browser::open(&page.file, "#view=finding-1&path=0&step=7", DESK);
    assert_eq!(position(&browser).0, 7);
    browser.press("ArrowRight");
    let link = browser.text("location.hash");
    assert!(link.contains("step=8"), "{link}");
    browser.show(&page.file, &link);
    assert_eq!(position(&browser).0, 8);
    browser.click("#verdict .story li:first-child a");
    let step = list(&view["story"]).iter().find_map(|note| note["step"].as_u64()).expect("a step in the story");
    browser.until(&format!("document.getElementById('count').textContent.startsWith('{} of ')", step + 1));
    for wrong in ["#view=nothing", "#view=finding-1&step=999999", "#view=finding-1&step=x&path=-1", "#%%%", "#step=3"] {
        browser.show(&page.file, wrong);
        assert_eq!(browser.text_of("#views [aria-current] .name"), view["title"].as_str().expect("a title"), "{wrong}");
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
