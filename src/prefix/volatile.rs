//! What kind of field stands where two prompts differ. Shapes are read from the bytes on both
//! sides; what is shown for them is their class, never the value.

use std::ops::Range;

use memchr::memmem;
use serde::Serialize;

use super::common;

/// Longest word that is looked at, and longest look to the left for a label.
const REACH: usize = 96;
/// Longest text that is taken for an insertion.
const INSERTED: usize = 4096;
/// Bytes that have to agree after an insertion.
const ANCHOR: usize = 32;

/// Kinds of difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A date, a time, or seconds since 1970.
    Timestamp,
    /// A UUID.
    Uuid,
    /// An id of a request, a session or a user.
    Id,
    /// An arm of an experiment, or a flag.
    Experiment,
    /// A counter or another number.
    Number,
    /// Something about a person.
    Personal,
    /// A version, or a block of policy.
    Policy,
    /// White space only.
    Whitespace,
    /// The same words in another order.
    Order,
    /// Model or salt differ, so that blocks are kept apart.
    Scope,
    /// The texts differ in words.
    Template,
    /// One prompt ends here.
    End,
}

impl Kind {
    /// Whether it changes from request to request though the template stays.
    pub fn is_volatile(self) -> bool {
        !matches!(self, Self::Template | Self::End)
    }

    /// What it is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::Timestamp => "a date or time",
            Self::Uuid => "a UUID",
            Self::Id => "a request, session or user id",
            Self::Experiment => "an A/B arm or flag",
            Self::Number => "a counter or number",
            Self::Personal => "a personal field",
            Self::Policy => "a version or policy block",
            Self::Whitespace => "white space only",
            Self::Order => "the same words in another order",
            Self::Scope => "another model or cache_salt",
            Self::Template => "a text in other words",
            Self::End => "the end of one prompt",
        }
    }

    /// What to do about it; `where_to` names the end of the shared part.
    pub fn advice(self, where_to: &str) -> String {
        match self {
            Self::Whitespace => "Build the prompt so that its white space is the same each time: \
                trim fields, one kind of line end, no trailing blanks."
                .into(),
            Self::Order => {
                "Write keys and lists in a fixed order, e.g. json.dumps(sort_keys=True).".into()
            }
            Self::Scope => {
                "Send the same model and cache_salt where requests may share a prefix.".into()
            }
            Self::Timestamp => format!("Move it below the shared part: {where_to}; or round it."),
            Self::Experiment => format!(
                "Move it below the shared part: {where_to}; or keep one whole prefix for each arm."
            ),
            Self::Policy => format!(
                "Move it below the shared part: {where_to}; or change it with deployments only."
            ),
            Self::Template => "A new template warms up once; nothing has to move.".into(),
            Self::End => "Nothing has to move.".into(),
            _ => format!("Move it below the shared part: {where_to}."),
        }
    }
}

/// A field on both sides of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// What it is.
    pub kind: Kind,
    /// Where it stands in the first text.
    pub old: Range<usize>,
    /// Where it stands in the second text.
    pub new: Range<usize>,
    /// What it was known by.
    pub because: String,
}

/// A field on one side.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape {
    kind: Kind,
    range: Range<usize>,
    because: String,
}

/// Says what stands where two texts first differ. Nothing left of `floor` is looked at; it holds
/// for both, as all before `at` is common.
pub fn classify(old: &[u8], new: &[u8], at: usize, floor: usize) -> Field {
    let plain = |kind, because: &str| Field {
        kind,
        old: at.min(old.len())..at.min(old.len()),
        new: at.min(new.len())..at.min(new.len()),
        because: because.into(),
    };
    if at >= old.len() || at >= new.len() {
        return plain(Kind::End, "all of the shorter prompt is the beginning of the longer one");
    }
    if let Some(field) = whitespace(old, new, at, floor).or_else(|| order(old, new, at, floor)) {
        return field;
    }
    let sides = (shape(old, at, floor), shape(new, at, floor));
    both(old, new, at, floor, sides)
        .or_else(|| inserted(old, new, at, floor))
        .unwrap_or_else(|| plain(Kind::Template, "no field of a known kind stands there"))
}

/// The field where the sides agree on it, or where both are words of one kind.
fn both(
    old: &[u8],
    new: &[u8],
    at: usize,
    floor: usize,
    sides: (Option<Shape>, Option<Shape>),
) -> Option<Field> {
    let field = |kind, old, new, because| Some(Field { kind, old, new, because });
    let (a, b) = (word(old, at, floor), word(new, at, floor));
    match sides {
        (Some(x), Some(y)) if x.kind == y.kind && x.range.start == y.range.start => {
            return field(x.kind, x.range, y.range, format!("{} on both sides", x.because));
        }
        (Some(x), Some(y)) if [x.kind, y.kind].contains(&Kind::Id) && a.len() == b.len() => {
            let because = "random words of one length on both sides".into();
            return field(Kind::Id, a, b, because);
        }
        _ => {}
    }
    let (x, y) = (&old[a.clone()], &new[b.clone()]);
    if x.is_empty() || y.is_empty() {
        return None;
    }
    if arms(x, y) {
        return field(Kind::Experiment, a, b, "two arms or states of a flag".into());
    }
    if x != y && without_digits(x).is_some_and(|rest| without_digits(y) == Some(rest)) {
        return field(Kind::Number, a, b, "words that differ in their digits only".into());
    }
    None
}

/// What a single text shows at a place.
fn shape(text: &[u8], at: usize, floor: usize) -> Option<Shape> {
    let range = word(text, at, floor);
    let value = &text[range.clone()];
    let found = |kind, range, because: &str| Some(Shape { kind, range, because: because.into() });
    if is_uuid(value) {
        return found(Kind::Uuid, range, "8-4-4-4-12 hexadecimal digits");
    }
    if is_email(value) {
        return found(Kind::Personal, range, "an e-mail address");
    }
    if let Some((range, because)) = timestamp(text, range.clone(), floor) {
        return found(Kind::Timestamp, range, because);
    }
    if let Some(because) = id_shape(value) {
        return found(Kind::Id, range, because);
    }
    labelled(text, at, range.clone(), floor).or_else(|| {
        if is_version(value) {
            return found(Kind::Policy, range, "a version number");
        }
        is_number(value).then(|| Shape { kind: Kind::Number, range, because: "a number".into() })
    })
}

/// A value known by the label before it.
fn labelled(text: &[u8], at: usize, word: Range<usize>, floor: usize) -> Option<Shape> {
    let (label, start) = label(text, at, floor)?;
    let value = &text[word.clone()];
    let is = |words: &[&str]| label.iter().find(|word| words.contains(&word.as_str()));
    let because = |name: &String| format!("a value after a label with the word `{name}`");
    if let Some(name) = is(&EXPERIMENT) {
        return Some(Shape { kind: Kind::Experiment, range: word, because: because(name) });
    }
    if let Some(name) = is(&ID)
        && !value.is_empty()
        && (value.iter().any(u8::is_ascii_digit) || value.len() > 5)
    {
        return Some(Shape { kind: Kind::Id, range: word, because: because(name) });
    }
    if let Some(name) = is(&POLICY) {
        return Some(Shape { kind: Kind::Policy, range: word, because: because(name) });
    }
    let name = is(&PERSONAL)?;
    let end = text[start..].iter().take(REACH).position(|byte| b"\n\r,;|<\"\\".contains(byte));
    let end = start + end.unwrap_or_else(|| REACH.min(text.len() - start));
    let range = start..end.max(word.end.min(text.len()));
    Some(Shape { kind: Kind::Personal, range, because: because(name) })
}

const EXPERIMENT: [&str; 13] = [
    "variant",
    "experiment",
    "arm",
    "bucket",
    "cohort",
    "treatment",
    "flag",
    "flags",
    "abtest",
    "feature",
    "rollout",
    "canary",
    "exp",
];
const ID: [&str; 14] = [
    "id",
    "uuid",
    "guid",
    "nonce",
    "request",
    "requestid",
    "session",
    "sessionid",
    "trace",
    "traceid",
    "correlation",
    "conversation",
    "ticket",
    "transaction",
];
const POLICY: [&str; 11] = [
    "policy",
    "policies",
    "version",
    "revision",
    "rev",
    "effective",
    "terms",
    "guidelines",
    "rules",
    "compliance",
    "release",
];
const PERSONAL: [&str; 21] = [
    "customer",
    "name",
    "firstname",
    "lastname",
    "username",
    "client",
    "patient",
    "email",
    "mail",
    "phone",
    "tel",
    "address",
    "member",
    "employee",
    "contact",
    "guest",
    "birthday",
    "dear",
    "hello",
    "account",
    "city",
];

/// The words of the label before a value, and where the value begins. `Customer: Anna B` is the
/// label of `Anna B`; a salutation is a label too.
fn label(text: &[u8], at: usize, floor: usize) -> Option<(Vec<String>, usize)> {
    let from = floor.max(at.saturating_sub(REACH)).min(at);
    let line =
        text[from..at].iter().rposition(|byte| *byte == b'\n').map_or(from, |end| from + end + 1);
    let before = &text[line..at];
    let colon = before.iter().rposition(|byte| b":=>#".contains(byte));
    let (name, start) = match colon {
        Some(colon) => (&before[..colon], line + colon + 1),
        None => (before, line + salutation(before)?),
    };
    let clause =
        name.iter().rposition(|byte| b",;|.".contains(byte)).map_or(name, |end| &name[end + 1..]);
    let words = words(clause);
    let known = words[words.len().saturating_sub(3)..].to_vec();
    let blanks = text[start..].iter().take_while(|byte| b" \"'".contains(byte)).count();
    let start = (start + blanks).min(at);
    let gap = text[start..at].split(|byte| *byte == b' ').count();
    (!known.is_empty() && gap <= 4).then_some((known, start))
}

/// Where the name after `Dear` or `policy` begins, of a line that has no colon.
fn salutation(before: &[u8]) -> Option<usize> {
    let words = words(before);
    let last = words.last()?.as_str();
    let known = ["dear", "hello", "policy", "version", "revision", "variant", "arm"];
    known.contains(&last).then_some(before.len())
}

/// Words in small letters; `userId` and `user_id` are two.
fn words(text: &[u8]) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for byte in text {
        if !byte.is_ascii_alphanumeric() || (small && byte.is_ascii_uppercase()) {
            words.push(String::new());
        }
        small = byte.is_ascii_lowercase();
        if let (true, Some(word)) = (byte.is_ascii_alphanumeric(), words.last_mut()) {
            word.push(char::from(byte.to_ascii_lowercase()));
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn is_word(byte: u8) -> bool {
    !byte.is_ascii_whitespace() && !b"\"'`,;()[]{}<>|=\\*".contains(&byte)
}

/// The word around a place, without a label that is glued to it and without punctuation behind.
fn word(text: &[u8], at: usize, floor: usize) -> Range<usize> {
    let at = at.min(text.len());
    let low = floor.max(at.saturating_sub(REACH)).min(at);
    let left = text[low..at].iter().rev().take_while(|byte| is_word(**byte)).count();
    let right = text[at..].iter().take(REACH).take_while(|byte| is_word(**byte)).count();
    let (mut start, mut end) = (at - left, at + right);
    while end > at && b".:!?".contains(&text[end - 1]) {
        end -= 1;
    }
    let letters = text[start..end].iter().take_while(|byte| is_name(**byte)).count();
    let glued = letters > 0 && text.get(start + letters) == Some(&b':') && start + letters < at;
    if glued {
        start += letters + 1;
    }
    start..end.max(start)
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

fn is_uuid(value: &[u8]) -> bool {
    let parts: Vec<&[u8]> = value.split(|byte| *byte == b'-').collect();
    parts.windows(5).any(|five| {
        let sizes = [8, 4, 4, 4, 12];
        let hex = |part: &&[u8]| part.iter().all(u8::is_ascii_hexdigit);
        let first = five[0].len().saturating_sub(8);
        let first: &[u8] = &five[0][first..];
        first.iter().all(u8::is_ascii_hexdigit)
            && first.len() == 8
            && five[1..].iter().all(hex)
            && five[1..].iter().zip(&sizes[1..]).all(|(part, size)| part.len() == *size)
    })
}

fn is_email(value: &[u8]) -> bool {
    let Some(sign) = memchr::memchr(b'@', value) else { return false };
    sign > 0 && value[sign + 1..].contains(&b'.') && !value.starts_with(b"http")
}

/// An id by its look: hexadecimal, ULID, snowflake, or a word of random letters and digits.
fn id_shape(value: &[u8]) -> Option<&'static str> {
    let bare = value.rsplit(|byte| b"_-:/#".contains(byte)).next().unwrap_or(value);
    let digits = bare.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = bare.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    if digits + letters != bare.len() || digits == 0 {
        return None;
    }
    if letters == 0 {
        return (digits >= 15).then_some("a number of 15 digits or more, as a snowflake id has");
    }
    let hex = bare.iter().all(u8::is_ascii_hexdigit);
    if hex && bare.len() >= 8 && letters >= 2 {
        return Some("a hexadecimal word of 8 digits or more");
    }
    let upper = bare.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    if bare.len() == 26 && upper && bare[0] <= b'7' {
        return Some("26 characters in the shape of a ULID");
    }
    (bare.len() >= 16 && digits >= 3).then_some("a long word of letters and digits")
}

fn is_version(value: &[u8]) -> bool {
    let bare = value.strip_prefix(b"v").or_else(|| value.strip_prefix(b"V"));
    let digits = bare.unwrap_or(value);
    let dots = digits.iter().filter(|byte| **byte == b'.').count();
    let shaped = digits.first().is_some_and(u8::is_ascii_digit)
        && digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    shaped && (bare.is_some() || dots == 2)
}

fn is_number(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_digit)
        && value
            .iter()
            .all(|byte| byte.is_ascii_digit() || !byte.is_ascii() || b"+-.,%$#/:".contains(byte))
}

fn without_digits(value: &[u8]) -> Option<Vec<u8>> {
    let digits = value.iter().any(u8::is_ascii_digit);
    let mut rest: Vec<u8> =
        value.iter().map(|byte| if byte.is_ascii_digit() { b'0' } else { *byte }).collect();
    rest.dedup();
    digits.then_some(rest)
}

/// Whether two words are arms of one experiment, or states of one flag.
fn arms(old: &[u8], new: &[u8]) -> bool {
    const PAIRS: [[&str; 2]; 5] = [
        ["control", "treatment"],
        ["true", "false"],
        ["on", "off"],
        ["enabled", "disabled"],
        ["control", "test"],
    ];
    let low = |word: &[u8]| String::from_utf8_lossy(word).to_ascii_lowercase();
    let (old, new) = (low(old), low(new));
    let pair = |[a, b]: &[&str; 2]| (old == *a && new == *b) || (old == *b && new == *a);
    let named = ["variant", "experiment", "exp_", "exp-", "arm_", "arm-", "bucket", "cohort"];
    PAIRS.iter().any(pair)
        || named.iter().any(|name| old.starts_with(name) && new.starts_with(name))
}

/// How sure a word is a piece of a date: 4 alone, or two and more of the weaker together.
fn dateish(word: &[u8]) -> u32 {
    let low = String::from_utf8_lossy(word).to_ascii_lowercase();
    let low = low.trim_end_matches(['.', ':']);
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    const FULL: [&str; 11] = [
        "january",
        "february",
        "march",
        "april",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    const DAYS: [&str; 7] =
        ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    if is_date(low) || is_clock(low) || is_epoch(low) || DAYS.contains(&low) {
        return 4;
    }
    if MONTHS.contains(&low) || FULL.contains(&low) || matches!(low, "am" | "pm") {
        return 2;
    }
    if matches!(low, "utc" | "gmt" | "z" | "cet" | "est" | "pst") || is_offset(low) {
        return 1;
    }
    let short_day = DAYS.iter().any(|day| *low == day[..3]);
    let number = low.trim_end_matches(['s', 't', 'n', 'd', 'r', 'h']);
    let day = number.parse().is_ok_and(|day: u32| (1..=31).contains(&day));
    let year = low.len() == 4 && low.parse().is_ok_and(|year: u32| (1900..2100).contains(&year));
    if short_day || day || year { 2 } else { 0 }
}

/// The run of date words around a word, where together they are surely a time. The number beside
/// a month counts; two numbers alone do not.
fn timestamp(
    text: &[u8],
    word: Range<usize>,
    floor: usize,
) -> Option<(Range<usize>, &'static str)> {
    let own = dateish(&text[word.clone()]);
    if own == 0 {
        return None;
    }
    let (mut range, mut strong, mut month) = (word.clone(), own >= 4, is_month(&text[word]));
    for _ in 0..6 {
        let Some(next) = next_word(text, range.end) else { break };
        if dateish(&text[next.clone()]) == 0 {
            break;
        }
        strong |= dateish(&text[next.clone()]) >= 4;
        month |= is_month(&text[next.clone()]);
        range.end = next.end;
    }
    for _ in 0..6 {
        let Some(next) = word_before(text, range.start, floor) else { break };
        if dateish(&text[next.clone()]) == 0 {
            break;
        }
        strong |= dateish(&text[next.clone()]) >= 4;
        month |= is_month(&text[next.clone()]);
        range.start = next.start;
    }
    let digits = text[range.clone()].iter().any(u8::is_ascii_digit);
    match (strong, month && digits) {
        (true, _) => Some((range, "a date, a time of day, a weekday or seconds since 1970")),
        (false, true) => Some((range, "a month or am/pm beside a number")),
        _ => None,
    }
}

fn is_month(word: &[u8]) -> bool {
    dateish(word) == 2 && word.first().is_some_and(u8::is_ascii_alphabetic)
}

fn next_word(text: &[u8], end: usize) -> Option<Range<usize>> {
    let gap = text[end..].iter().take(2).take_while(|byte| b", ".contains(byte)).count();
    let next = word(text, end + gap, end + gap);
    (gap > 0 && !next.is_empty()).then_some(next)
}

fn word_before(text: &[u8], start: usize, floor: usize) -> Option<Range<usize>> {
    let low = floor.max(start.saturating_sub(2)).min(start);
    let gap = text[low..start].iter().rev().take_while(|byte| b", ".contains(byte)).count();
    let before = word(text, start - gap, floor);
    (gap > 0 && !before.is_empty() && before.end <= start).then_some(before)
}

/// `2026-11-22`, `2026/11/22`, `22.11.2026`, `11/22/2026`, `20261122`, each with a time after `T`.
fn is_date(word: &str) -> bool {
    let day = word.split(['t', '_']).next().unwrap_or(word);
    let numbers =
        |text: &str| text.split(['-', '/', '.']).map(str::parse).collect::<Result<Vec<u32>, _>>();
    let fits = |year: u32, a: u32, b: u32| {
        (1900..2100).contains(&year) && a.min(b) >= 1 && a.min(b) <= 12 && a.max(b) <= 31
    };
    match numbers(day).as_deref() {
        Ok(&[a, b, c]) => fits(a, b, c) || fits(c, a, b),
        Ok(&[one]) if day.len() == 8 => fits(one / 10_000, one / 100 % 100, one % 100),
        _ => false,
    }
}

/// `9:05`, `10:00:01`, `10:00:01.250Z`, `10:00+01:00`.
fn is_clock(word: &str) -> bool {
    let time = word.trim_end_matches('z').split(['+', '-', '.']).next().unwrap_or(word);
    let parts: Vec<&str> = time.split(':').collect();
    let two = |part: &&str| part.len() == 2 && part.parse().is_ok_and(|part: u32| part < 60);
    (2..=3).contains(&parts.len())
        && parts[0].len() <= 2
        && parts[0].parse().is_ok_and(|hour: u32| hour < 24)
        && parts[1..].iter().all(two)
}

fn is_offset(word: &str) -> bool {
    word.len() >= 3
        && word.starts_with(['+', '-'])
        && word[1..].bytes().all(|byte| byte.is_ascii_digit() || byte == b':')
}

/// Seconds or milliseconds since 1970 that lie between 2001 and 2039; prices carry a sign.
fn is_epoch(word: &str) -> bool {
    let whole = word.split('.').next().unwrap_or(word);
    let Ok(number) = whole.parse::<u64>() else { return false };
    match whole.len() {
        10 => (1_000_000_000..2_200_000_000).contains(&number),
        13 => (1_000_000_000_000..2_200_000_000_000).contains(&number),
        _ => false,
    }
}

/// White space that differs while the text around it goes on alike.
fn whitespace(old: &[u8], new: &[u8], at: usize, floor: usize) -> Option<Field> {
    if !old[at].is_ascii_whitespace() && !new[at].is_ascii_whitespace() {
        return None;
    }
    let before = old[floor.min(at)..at].iter().rev();
    let start = at - before.take_while(|byte| byte.is_ascii_whitespace()).count();
    let end = |text: &[u8]| {
        at + text[at..].iter().take(INSERTED).take_while(|byte| byte.is_ascii_whitespace()).count()
    };
    let (a, b) = (end(old), end(new));
    let rest = (&old[a..], &new[b..]);
    let same = common(rest.0, rest.1);
    let alike = same >= ANCHOR || (same == rest.0.len() && same == rest.1.len());
    let because = "the text goes on alike after blanks or line ends that differ".into();
    alike.then_some(Field { kind: Kind::Whitespace, old: start..a, new: start..b, because })
}

/// The same words on the rest of the line, in another order.
fn order(old: &[u8], new: &[u8], at: usize, floor: usize) -> Option<Field> {
    let low = floor.max(at.saturating_sub(INSERTED)).min(at);
    let start =
        old[low..at].iter().rposition(|byte| *byte == b'\n').map_or(low, |end| low + end + 1);
    let end = |text: &[u8]| {
        let line = memchr::memchr(b'\n', &text[at..]).unwrap_or(text.len() - at);
        at + line.min(INSERTED * 4)
    };
    let (a, b) = (start..end(old), start..end(new));
    let sorted = |text: &[u8]| {
        let mut words = words(text);
        words.sort_unstable();
        words
    };
    if a.len() != b.len() || a.len() < 8 {
        return None;
    }
    let (x, y) = (sorted(&old[a.clone()]), sorted(&new[b.clone()]));
    let because = "a line of the same words in another order".into();
    (x.len() > 2 && x == y).then_some(Field { kind: Kind::Order, old: a, new: b, because })
}

/// Text that only one side has, with a volatile field in it.
fn inserted(old: &[u8], new: &[u8], at: usize, floor: usize) -> Option<Field> {
    let line = |text: &[u8]| {
        let low = floor.max(at.saturating_sub(REACH)).min(at);
        text[low..at].iter().rposition(|byte| *byte == b'\n').map_or(low, |end| low + end + 1)
    };
    let starts = [at, line(old)];
    starts.into_iter().find_map(|from| {
        let added = |short: &[u8], long: &[u8]| {
            let anchor = short.get(from..from + ANCHOR)?;
            let window = &long[from..long.len().min(from + INSERTED + ANCHOR)];
            let end = from + memmem::find(window, anchor)?;
            let found = first_shape(long, from..end)?;
            let kind = found.kind;
            Some((kind, end, format!("a text that one side lacks, with {}", found.because)))
        };
        if let Some((kind, end, because)) = added(old, new) {
            return Some(Field { kind, old: from..from, new: from..end, because });
        }
        let (kind, end, because) = added(new, old)?;
        Some(Field { kind, old: from..end, new: from..from, because })
    })
}

fn first_shape(text: &[u8], range: Range<usize>) -> Option<Shape> {
    let mut at = range.start;
    while at < range.end {
        let gap = text[at..range.end].iter().take_while(|byte| !is_word(**byte)).count();
        at += gap;
        if at < range.end
            && let Some(found) = shape(&text[..range.end], at, range.start)
        {
            return Some(found);
        }
        at += text[at..range.end].iter().take_while(|byte| is_word(**byte)).count();
    }
    None
}

/// The end of a field of this kind that begins at `start`, in another text of the same template.
pub fn end_of(kind: Kind, text: &[u8], start: usize, floor: usize) -> Option<usize> {
    if start >= text.len() {
        return None;
    }
    if kind == Kind::Whitespace {
        let blanks = text[start..].iter().take_while(|byte| byte.is_ascii_whitespace());
        return Some(start + blanks.count());
    }
    match shape(text, start, floor) {
        Some(found) if found.kind == kind && found.range.start == start => Some(found.range.end),
        _ if matches!(kind, Kind::Experiment | Kind::Number | Kind::Id) => {
            let word = word(text, start, floor);
            (word.start == start && !word.is_empty()).then_some(word.end)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(old: &str, new: &str) -> Kind {
        let frame = |text: &str| format!("You are helpful.\n{text}\nAnswer in short sentences.\n");
        let (old, new) = (frame(old), frame(new));
        let at = common(old.as_bytes(), new.as_bytes());
        classify(old.as_bytes(), new.as_bytes(), at, 0).kind
    }

    #[test]
    fn every_kind_of_volatile_field_is_known_by_its_look() {
        for (old, new, expected) in [
            ("Time: 2026-11-22T10:00:01Z", "Time: 2026-11-22T10:00:07Z", Kind::Timestamp),
            ("Today is 22 Nov 2026.", "Today is 23 Nov 2026.", Kind::Timestamp),
            ("Today is Monday.", "Today is Sunday.", Kind::Timestamp),
            ("It is November 22, 2026", "It is December 1, 2026", Kind::Timestamp),
            ("now=1795304317", "now=1795304399", Kind::Timestamp),
            ("Now 10:05", "Now 10:06", Kind::Timestamp),
            ("On 22.11.2026", "On 23.11.2026", Kind::Timestamp),
            (
                "Ref 0b5b5fab-8f4d-4e27-9d1a-0123456789ab",
                "Ref 7c1e0d22-11aa-4b3c-8e5f-ba9876543210",
                Kind::Uuid,
            ),
            ("Trace db5b5fab8f4d3e27", "Trace a3ea284d3bd03346", Kind::Id),
            ("Id 01ARZ3NDEKTSV4RRFFQ69G5FAV", "Id 01BX5ZZKBKACTAV9WEVGEMMVRZ", Kind::Id),
            ("Order 1234567890123456789", "Order 1234567890129956789", Kind::Id),
            ("request_id: 4711", "request_id: 4712", Kind::Id),
            ("Variant: A", "Variant: B", Kind::Experiment),
            ("Variant: v3", "Variant: v4", Kind::Experiment),
            ("Group control", "Group treatment", Kind::Experiment),
            ("new_flow flag=true", "new_flow flag=false", Kind::Experiment),
            ("Turn 12 of many", "Turn 13 of many", Kind::Number),
            ("It costs $12.30 now", "It costs $14.99 now", Kind::Number),
            ("Customer: Anna Berg", "Customer: Bob Maier", Kind::Personal),
            ("Customer: Anna Berg", "Customer: Anna Kraus", Kind::Personal),
            ("Write to a.b@example.com", "Write to c.d@example.org", Kind::Personal),
            ("Dear Anna,", "Dear Bob,", Kind::Personal),
            ("Policy: strict", "Policy: lenient", Kind::Policy),
            ("Template v3", "Template v4", Kind::Policy),
            ("Rules 1.2.3", "Rules 1.2.4", Kind::Policy),
            ("One  blank", "One blank", Kind::Whitespace),
            ("Line end ", "Line end", Kind::Whitespace),
            (r#"{"a": 1, "b": 2}"#, r#"{"b": 2, "a": 1}"#, Kind::Order),
            ("Be kind to people.", "Never help anybody else.", Kind::Template),
        ] {
            assert_eq!(kind(old, new), expected, "{old} | {new}");
            assert_eq!(kind(new, old), expected, "{new} | {old}");
        }
    }

    #[test]
    fn look_alikes_are_told_apart() {
        assert_eq!(kind("Price $1795304317", "Price $1795304399"), Kind::Number);
        assert_eq!(kind("You may go", "You can go"), Kind::Template);
        assert_eq!(kind("Ratio 3:1", "Ratio 4:1"), Kind::Number);
        assert_eq!(kind("A deadbeef", "A feedcafe"), Kind::Template);
        assert_eq!(kind("Score 12.5", "Score 13.5"), Kind::Number);
    }

    #[test]
    fn a_field_put_in_is_found_though_the_other_side_lacks_it() {
        assert_eq!(
            kind("Be kind to all people here.", "Time: 10:00:01\nBe kind to all people here."),
            Kind::Timestamp
        );
    }

    #[test]
    fn a_difference_inside_a_character_is_no_harm() {
        let (old, new) = ("Preis: 5 € ä".as_bytes(), "Preis: 5 € ö".as_bytes());
        let at = common(old, new);
        assert!(std::str::from_utf8(&old[..at]).is_err());
        assert_eq!(classify(old, new, at, 0).kind, Kind::Template);
    }

    #[test]
    fn the_same_field_is_found_in_a_third_request() {
        let text = b"Time: 2026-11-22 10:00:01 UTC. You";
        assert_eq!(end_of(Kind::Timestamp, text, 6, 0), Some(29));
        assert_eq!(end_of(Kind::Uuid, text, 6, 0), None);
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics_and_ranges_lie_in_the_texts(
            head in ".{0,40}", old in "\\PC{0,60}|[0-9:TZ/. a-f\\-\n]{0,60}", new in ".{0,60}",
        ) {
            let (old, new) = (format!("{head}{old}"), format!("{head}{new}"));
            let (old, new) = (old.as_bytes(), new.as_bytes());
            let at = common(old, new);
            let field = classify(old, new, at, 0);
            proptest::prop_assert!(field.old.end <= old.len() && field.new.end <= new.len());
            proptest::prop_assert!(field.old.start <= at && field.old.start <= field.old.end);
            proptest::prop_assert!(field.new.start == field.old.start);
            for kind in [Kind::Timestamp, Kind::Personal, Kind::Id, Kind::Whitespace] {
                let _ = end_of(kind, old, at, 0);
            }
        }
    }
}
