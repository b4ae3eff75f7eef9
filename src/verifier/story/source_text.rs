//! Reads lines of C: what a line compares, what stands at a column.

/// The expression that a line compares with NULL, if that is all that it asks: `slot` of `if (!slot)`.
#[must_use]
pub fn checked_in(line: &str) -> Option<&str> {
    let open = ["if (", "while ("].iter().find_map(|word| line.find(word).map(|at| at + word.len()))?;
    let end = closing(&line[open..])?;
    let mut inside = line[open..open + end].trim();
    for wrapper in ["likely(", "unlikely("] {
        if let Some(rest) = inside.strip_prefix(wrapper).and_then(|rest| rest.strip_suffix(')')) {
            inside = rest.trim();
        }
    }
    inside = inside.strip_prefix('!').unwrap_or(inside).trim();
    for tail in ["== NULL", "!= NULL", "== 0", "!= 0"] {
        inside = inside.strip_suffix(tail).unwrap_or(inside).trim();
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.->[]".contains(c);
    (!inside.is_empty() && inside.chars().all(plain)).then_some(inside)
}

/// Where the bracket closes that was open before the text.
#[must_use]
pub fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// What a line decides: the text between the brackets of its `if` or `while`, or the middle part of its `for`.
#[must_use]
pub fn condition_in(line: &str) -> Option<&str> {
    let (open, is_for) = [("if (", false), ("while (", false), ("for (", true)]
        .into_iter()
        .find_map(|(word, is_for)| line.find(word).map(|at| (at + word.len(), is_for)))?;
    let inside = &line[open..];
    let inside = inside[..closing(inside)?].trim();
    let condition = if is_for { inside.split(';').nth(1)?.trim() } else { inside };
    (!condition.is_empty()).then_some(condition)
}

/// The variable or member into which a line puts what begins at a column (from 1): `p` of `p = f()`, `struct t *p = f()`.
#[must_use]
pub fn assigned_before(line: &str, column: u32) -> Option<&str> {
    let before = line.get(..(column as usize).checked_sub(1)?)?.trim_end();
    let target = before.strip_suffix('=')?;
    if target.ends_with(['=', '!', '<', '>', '+', '-', '*', '/', '%', '&', '|', '^']) {
        return None;
    }
    let target = target.trim_end();
    let target = &target[expression_start(target)..];
    let begins = target.chars().next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    begins.then_some(target)
}

/// The variable into which a line puts an expression that stands in it, and nothing else: `p` of `p = v->p;`.
#[must_use]
pub fn variable_of<'l>(line: &'l str, expression: &str) -> Option<&'l str> {
    let (at, _) = line.match_indices(expression).find(|(at, _)| {
        let behind = line[at + expression.len()..].trim_start();
        behind.starts_with(';') || behind.starts_with(',')
    })?;
    assigned_before(line, u32::try_from(at).ok()? + 1)
}

/// The expression whose last name, or whose `*`, stands at a column (from 1), if it is a variable, a member or an element:
/// `skb->len`, `*next`.
#[must_use]
pub fn expression_at(line: &str, column: u32) -> Option<&str> {
    let at = (column as usize).checked_sub(1)?;
    let rest = line.get(at..)?;
    let stars = rest.len() - rest.trim_start_matches('*').len();
    let name = rest[stars..].find(|c: char| !is_name(c)).unwrap_or(rest.len() - stars);
    let end = at + stars + name;
    let first = rest[stars..].chars().next()?;
    // What is followed by a bracket is a call, or a macro that may be anything; by an arrow or a point, a pointer to what is loaded.
    let behind = line[end..].trim_start();
    if name == 0 || first.is_ascii_digit() || ["(", "[", "->", "."].iter().any(|next| behind.starts_with(next)) {
        return None;
    }
    let start = if stars > 0 { at } else { expression_start(&line[..end]) };
    let expression = &line[start..end];
    let plain = expression.trim_start_matches('*').chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    (plain && !KEYWORDS.contains(&expression)).then_some(expression)
}

/// What is no variable, though it looks like one.
const KEYWORDS: [&str; 8] = ["return", "if", "while", "for", "else", "do", "switch", "sizeof"];

/// Where the expression begins that a text ends with: names, members, elements.
fn expression_start(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut start = text.len();
    while let Some(&byte) = start.checked_sub(1).and_then(|at| bytes.get(at)) {
        let length = match byte {
            _ if is_name(byte.into()) || byte == b'.' => 1,
            b'>' if text[..start].ends_with("->") => 2,
            b']' => match opening(&text[..start]) {
                Some(open) => start - open,
                None => break,
            },
            _ => break,
        };
        start -= length;
    }
    start
}

/// Where the bracket opens that a text ends with, if it ends with one.
fn opening(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, letter) in text.char_indices().rev() {
        match letter {
            ']' => depth += 1,
            '[' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(at).filter(|_| letter == '[');
        }
    }
    None
}

/// The last name of an expression: `len` of `skb->len`, `counts` of `counts[3]`.
#[must_use]
pub fn last_name(expression: &str) -> &str {
    let whole = opening(expression).map_or(expression, |open| &expression[..open]);
    let start = whole.rfind(|c: char| !is_name(c)).map_or(0, |at| at + 1);
    &whole[start..]
}

fn is_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_line_compares_with_null() {
        for (line, checked) in [
            ("if (!slot)", Some("slot")),
            ("if (slot) {", Some("slot")),
            ("while (node->next != NULL)", Some("node->next")),
            ("if (unlikely(!e))", Some("e")),
            ("if (!a || b)", None),
            ("if (bpf_map_lookup_elem(&m, &k))", None),
            ("return x;", None),
        ] {
            assert_eq!(checked_in(line), checked, "{line}");
        }
    }

    #[test]
    fn what_a_line_decides() {
        for (line, condition) in [
            ("\tif (skb->len <= HEADERS)", Some("skb->len <= HEADERS")),
            ("\tfor (i = 0; i < (N); i++) {", Some("i < (N)")),
            ("} while (--left);", Some("--left")),
            ("\tif (a &&", None),
            ("\treturn x;", None),
        ] {
            assert_eq!(condition_in(line), condition, "{line}");
        }
    }

    #[test]
    fn what_stands_at_a_column() {
        for (line, marked, expression) in [
            ("\tif (skb->len < 100)", "len", Some("skb->len")),
            ("\t\tmark = *next;", "*next", Some("*next")),
            ("\tlength = wanted;", "wanted", Some("wanted")),
            ("\tx = v->counts[i].hits + 1;", "hits", Some("v->counts[i].hits")),
            ("\tx = READ_ONCE(y);", "READ_ONCE", None),
            ("\tx = a->b->c;", "b->c", None),
            ("\treturn 0;", "return", None),
            ("\tx = é;", "é", None),
        ] {
            let column = line.find(marked).expect("it is there") as u32 + 1;
            assert_eq!(expression_at(line, column), expression, "{line}");
        }
        assert_eq!(expression_at("x", 0), None);
        assert_eq!(expression_at("x", 9), None);
    }

    #[test]
    fn what_a_result_is_put_into() {
        for (line, call, variable) in [
            ("\tp = f(x);", "f(", Some("p")),
            ("\tstruct slot *slot = f(x);", "f(", Some("slot")),
            ("\twhile ((next = f(x)))", "f(", Some("next")),
            ("\tv->p[i] = f(x);", "f(", Some("v->p[i]")),
            ("\tif (x == f(x))", "f(", None),
            ("\tif (f(x))", "f(", None),
        ] {
            let column = line.find(call).expect("it is there") as u32 + 1;
            assert_eq!(assigned_before(line, column), variable, "{line}");
        }
    }

    #[test]
    fn what_an_expression_is_put_into() {
        assert_eq!(variable_of("\thits = slot->hits;", "slot->hits"), Some("hits"));
        assert_eq!(variable_of("\tstruct t *p = v->p, *q;", "v->p"), Some("p"));
        assert_eq!(variable_of("\tx = a->b + 1;", "a->b"), None);
        assert_eq!(variable_of("\tf(a->b);", "a->b"), None);
    }

    #[test]
    fn the_last_name() {
        for (expression, name) in [
            ("skb->len", "len"),
            ("*next", "next"),
            ("counts[3]", "counts"),
            ("a.b", "b"),
            ("p2", "p2"),
            ("a[b[1]]", "a"),
        ] {
            assert_eq!(last_name(expression), name);
        }
    }
}
