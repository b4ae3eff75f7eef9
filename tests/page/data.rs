//! A page's data, read by other code than its own.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// The JSON that is embedded in a page.
pub fn embedded(html: &str) -> Value {
    let start = html.find("id=\"page-data\">").expect("the data") + "id=\"page-data\">".len();
    let end = start + html[start..].find("</script>").expect("its end");
    serde_json::from_str(&html[start..end]).expect("JSON")
}

/// The same of a file.
pub fn read(path: &Path) -> Value {
    embedded(&std::fs::read_to_string(path).expect("the page was written"))
}

/// A list.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn index(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|number| usize::try_from(number).ok())
}

/// The steps of a path, by number.
pub fn steps(view: &Value, path: usize) -> Vec<usize> {
    let mut steps = Vec::new();
    let mut at = index(&view["paths"][path]["last"]);
    while let Some(step) = at {
        steps.push(step);
        at = index(&view["steps"][step]["parent"]);
    }
    steps.reverse();
    steps
}

/// What is known before a step of a path that all can see or its own lane has: name and value.
pub fn state(page: &Value, view: &Value, path: &[usize], position: usize) -> BTreeMap<(String, u64, String), String> {
    let mut values = BTreeMap::new();
    for &step in &path[..=position] {
        for change in list(&view["steps"][step]["changes"]) {
            let key = &view["keys"][index(&change[0]).expect("a key")];
            let name = key["name"].as_str().expect("a name").to_owned();
            let kind = key["kind"].as_str().expect("a kind").to_owned();
            let lane = key["lane"].as_u64();
            let key = (kind, key["frame"].as_u64().unwrap_or(0), name, lane);
            match index(&change[1]) {
                Some(text) => values.insert(key, page["texts"][text].as_str().expect("a text").to_owned()),
                None => values.remove(&key),
            };
        }
    }
    let lane = view["steps"][path[position]]["lane"].as_u64();
    let seen = values.into_iter().filter(|((_, _, _, of), _)| of.is_none() || *of == lane);
    seen.map(|((kind, frame, name, _), value)| ((kind, frame, name), value)).collect()
}

/// A fact of that name.
pub fn fact<'v>(facts: &'v Value, name: &str) -> &'v str {
    let found = list(facts).iter().find(|fact| fact["name"] == name);
    found.and_then(|fact| fact["value"].as_str()).unwrap_or_else(|| panic!("no fact {name} in {facts}"))
}
