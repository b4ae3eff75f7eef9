//! Can everybody use it: names for screen readers, contrast, a phone's width, keys alone.

use serde_json::{Value, json};

use super::browser::Browser;
use super::data::list;
use super::pages::{DESK, Written, race, report};

fn both() -> [Written; 2] {
    [report(), race()]
}

pub fn everything_has_a_name_and_a_place() {
    for page in both() {
        let browser = Browser::open(&page.file, "", DESK);
        let tree = browser.call("Accessibility.getFullAXTree", json!({}));
        let nodes = list(&tree["nodes"]);
        let of = |role: &str| {
            nodes
                .iter()
                .filter(|node| node["role"]["value"] == role && node["ignored"] != json!(true))
                .collect::<Vec<_>>()
        };
        for landmark in ["banner", "navigation", "main", "contentinfo", "toolbar"] {
            assert_eq!(of(landmark).len(), 1, "{landmark}");
        }
        for role in ["button", "link", "slider", "combobox", "region", "image", "group", "toolbar", "navigation"] {
            for node in of(role) {
                let name = node["name"]["value"].as_str().unwrap_or_default();
                let is_disclosure = role == "group" && name.is_empty();
                assert!(!name.trim().is_empty() || is_disclosure, "{node}");
            }
        }
        assert!(of("slider").len() == 1 && of("button").len() >= 8);
        let headings = browser.value("[...document.querySelectorAll('h1, h2, h3')].filter((e) => e.checkVisibility()).map((e) => Number(e.tagName[1]))");
        let levels: Vec<u64> = list(&headings).iter().filter_map(Value::as_u64).collect();
        assert!(levels.contains(&1) && levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
        stepping_is_told(&browser);
        by_keys_alone(&browser);
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
}

/// What a step is, is said to who does not see it.
fn stepping_is_told(browser: &Browser) {
    assert_eq!(browser.value("document.getElementById('now').getAttribute('aria-live')"), json!("polite"));
    browser.press("Home");
    let first = browser.text_of("#now");
    browser.press("ArrowRight");
    let second = browser.text_of("#now");
    assert!(first.starts_with("Step 1. ") && second.starts_with("Step 2. "), "{first} {second}");
    assert!(
        browser.text("document.getElementById('position').getAttribute('aria-valuetext')").starts_with("step 2 of ")
    );
}

/// The first stop is the link past the head; from there the buttons can be come to and pressed.
fn by_keys_alone(browser: &Browser) {
    browser.value("document.activeElement.blur(), window.focus()");
    browser.press("Tab");
    assert_eq!(browser.text("document.activeElement.id"), "skip");
    browser.press("Enter");
    browser.call("Input.dispatchKeyEvent", json!({"type": "char", "text": "\r", "key": "Enter"}));
    assert_eq!(browser.text("document.activeElement.id"), "step");
    let mut stops = Vec::new();
    for _ in 0..14 {
        browser.press("Tab");
        stops.push(
            browser.text(
                "document.activeElement.id || document.activeElement.className || document.activeElement.tagName",
            ),
        );
    }
    let order: Vec<Option<usize>> = ["back", "on", "position", "link", "source", "bytecode", "state"]
        .iter()
        .map(|id| stops.iter().position(|stop| stop == id))
        .collect();
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{stops:?}");
}

/// Contrast of each visible text with what is behind it, by WCAG 2.2; those that are too low.
const TOO_FAINT: &str = r"(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return rgba(getComputedStyle(document.documentElement).backgroundColor);
  };
  const faint = [];
  let count = 0;
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== '');
    if (!own || !element.checkVisibility() || element.closest('[disabled], script, style, dialog, .unseen')) continue;
    let colour, back;
    if (element.namespaceURI.endsWith('svg')) {
      if (element.tagName !== 'text') continue;
      colour = rgba(getComputedStyle(element).fill);
      const rect = element.parentElement.querySelector('rect');
      back = rect ? rgba(getComputedStyle(rect).fill) : behind(element.closest('.canvas'));
    } else {
      colour = rgba(getComputedStyle(element).color);
      back = behind(element);
    }
    const [one, other] = [light(colour), light(back)];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    count += 1;
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)} ${element.tagName} ${element.getAttribute('class')}: ${element.textContent.slice(0, 30)}`);
  }
  return { count, faint: [...new Set(faint)] };
})()";

pub fn text_can_be_read_in_light_and_dark() {
    for (number, page) in both().iter().enumerate() {
        let browser = Browser::open(&page.file, "", DESK);
        for theme in ["light", "dark"] {
            let media = json!({"features": [{"name": "prefers-color-scheme", "value": theme}]});
            browser.call("Emulation.setEmulatedMedia", media);
            browser.show(&page.file, "");
            let background = browser.text("getComputedStyle(document.documentElement).backgroundColor");
            let result = browser.value(TOO_FAINT);
            assert!(result["count"].as_u64().is_some_and(|count| count > 50), "{result}");
            assert_eq!(result["faint"], json!([]), "{theme}");
            browser.picture(&format!("{theme}-{number}"));
            // The button overrules the system: as the system's, light, dark.
            browser.click("#theme-button");
            browser.click("#theme-button");
            assert_eq!(browser.text_of("#theme-button"), "Theme: dark");
            let dark = browser.text("getComputedStyle(document.documentElement).backgroundColor");
            assert_eq!(dark == background, theme == "dark");
            browser.click("#theme-button");
        }
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
}

pub fn it_fits_on_a_phone() {
    for (number, page) in both().iter().enumerate() {
        let browser = Browser::open(&page.file, "", (360, 740));
        let [wide, window] =
            ["document.documentElement.scrollWidth", "window.innerWidth"].map(|expression| browser.value(expression));
        assert_eq!((wide, window), (json!(360), json!(360)), "nothing sticks out");
        let small = browser.value(
            "[...document.querySelectorAll('button, select, input, nav a')].filter((e) => e.checkVisibility())\
             .filter((e) => e.type !== 'range' && (e.getBoundingClientRect().height < 24 || e.getBoundingClientRect().width < 24)).map((e) => e.outerHTML)",
        );
        assert_eq!(small, json!([]), "large enough for a thumb");
        browser.click("#first");
        browser.click("#on");
        assert!(browser.text_of("#count").starts_with("2 of "));
        // The controls stay in sight while one looks at the state.
        browser.value("document.getElementById('state').scrollIntoView()");
        let top = browser.value("document.getElementById('controls').getBoundingClientRect().top");
        assert!(top.as_f64().is_some_and(|top| (0.0..700.0).contains(&top)), "{top}");
        assert_eq!(browser.complaints(), Vec::<String>::new());
        browser.picture(&format!("phone-{number}"));
    }
}
