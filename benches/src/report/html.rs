//! A report for a person: one page that needs nothing but itself. No scripts, no fonts, no pictures from elsewhere;
//! light or dark as the reader has it.

use std::fmt::Write;

use super::model::{Bar, Case, ITSELF, Measure, Report, Section, Verdict};
use super::plot::plot;
use super::words::{factor, is_ceiling, is_good, ratio, verdict};

const STYLE: &str = include_str!("page.css");
/// Colours that the style knows; later contenders share the last one.
const COLOURS: usize = 8;

/// The page.
pub fn page(report: &Report) -> String {
    let mut out = String::from("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n");
    let _ = writeln!(out, "<title>{}</title>", escape(&report.title));
    let _ = writeln!(out, "<style>\n{STYLE}</style>\n</head>\n<body>");
    head(&mut out, report);
    tiles(&mut out, report);
    bars(&mut out, report);
    for section in &report.sections {
        show(&mut out, report, section);
    }
    foot(&mut out, report);
    out.push_str("</body>\n</html>\n");
    out
}

/// Text as the content of an element or of an attribute.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// The anchor of a case.
fn anchor(case: &Case) -> String {
    case.id.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}

/// The class of a contender: its colour, which it keeps on the whole page.
fn class(report: &Report, contender: &str) -> String {
    if is_ceiling(contender) {
        return "ceiling".to_owned();
    }
    let mut coloured = report.contenders.iter().filter(|known| !is_ceiling(&known.name));
    let nth = coloured.position(|known| known.name == contender);
    format!("c{}", nth.unwrap_or(COLOURS - 1).min(COLOURS - 1))
}

fn head(out: &mut String, report: &Report) {
    let _ = writeln!(out, "<header>\n<h1>{}</h1>", escape(&report.title));
    let machine = &report.machine;
    let rest = format!("{}, {} cores, {}", machine.processor, machine.cores, machine.system);
    let _ = writeln!(
        out,
        "<p>In turns within one run, on {}. A dot is one round, the dark mark is the median; ratios are the \
         medians of each round’s own ratio of ours to theirs. Figures differ from machine to machine, ratios less.</p>",
        escape(&rest)
    );
    out.push_str("<ul class=\"legend\">");
    for contender in &report.contenders {
        let class = class(report, &contender.name);
        let (name, settings) = (escape(&contender.name), escape(&contender.settings));
        let _ = write!(out, "<li class=\"{class}\" title=\"{settings}\"><i></i>{name}</li>");
    }
    out.push_str("</ul>\n<nav>");
    for section in &report.sections {
        let _ = write!(out, "<a href=\"#{}\">{}</a>", escape(&section.id), escape(&section.title));
    }
    out.push_str("</nav>\n</header>\n");
}

/// The most telling figure of every section: the first that has a bar, or else the first that there is.
fn tiles(out: &mut String, report: &Report) {
    out.push_str("<div class=\"tiles\">\n");
    for section in &report.sections {
        if let Some((case, measure, against, found)) = telling(section) {
            let good = match is_good(measure, found) {
                Some(true) => "good",
                Some(false) => "bad",
                None => "same",
            };
            let (size, what) = ratio(measure, found);
            let joined = if what == "as fast" { "as fast as".to_owned() } else { format!("{what} of") };
            let _ = writeln!(
                out,
                "<div class=\"tile\"><a href=\"#{}\"><b class=\"{good}\">{size}</b><span>{} {}</span><small>{}: \
                 {}</small></a></div>",
                anchor(case),
                escape(&joined),
                escape(against),
                escape(&section.title),
                escape(&case.title)
            );
        }
    }
    out.push_str("</div>\n");
}

fn telling(section: &Section) -> Option<(&Case, &Measure, &str, f64)> {
    let measures = || section.cases.iter().flat_map(|case| case.measures.iter().map(move |m| (case, m)));
    let with_bar = measures().find_map(|(case, measure)| {
        let bar = measure.bars.iter().find(|bar| bar.against != ITSELF)?;
        Some((case, measure, &*bar.against, measure.ratio_of(bar)?))
    });
    with_bar.or_else(|| {
        measures().find_map(|(case, measure)| {
            let theirs = measure.entries.iter().skip(1).find(|entry| !is_ceiling(&entry.contender))?;
            Some((case, measure, &*theirs.contender, measure.ratio(theirs)?))
        })
    })
}

/// What is demanded: what is missed to be seen at once, what is met behind one more click if it is much.
fn bars(out: &mut String, report: &Report) {
    let all = report.bars().count();
    if all == 0 {
        return;
    }
    let is_met = |row: &Row<'_>| row.1.verdict(row.2) == Verdict::Met;
    let (met, rest): (Vec<_>, Vec<_>) = report.bars().partition(is_met);
    let _ = writeln!(out, "<h2 id=\"bars\">Bars: {} of {all} met</h2>", met.len());
    out.push_str("<p>What is demanded of ours ÷ theirs.</p>\n");
    table(out, &rest);
    let open = if all > MANY { "" } else { " open=\"open\"" };
    let _ = writeln!(out, "<details{open}><summary>met: {}</summary>", met.len());
    table(out, &met);
    out.push_str("</details>\n");
}

/// Bars that a page shows all at once.
const MANY: usize = 16;

/// A bar with its case and its measure.
type Row<'a> = (&'a Case, &'a Measure, &'a Bar);

fn table(out: &mut String, rows: &[Row<'_>]) {
    if rows.is_empty() {
        return;
    }
    out.push_str("<div class=\"scroll\"><table><thead><tr>");
    out.push_str("<th>case</th><th>measure</th><th>against</th><th class=\"number\">bar</th>");
    out.push_str("<th class=\"number\">found</th><th></th></tr></thead><tbody>\n");
    for (case, measure, bar) in rows {
        let judged = measure.verdict(bar);
        let class = match judged {
            Verdict::Met => "good",
            Verdict::Missed => "bad",
            Verdict::Unknown => "same",
        };
        let found = measure.ratio_of(bar).map_or_else(|| "–".to_owned(), factor);
        let _ = writeln!(
            out,
            "<tr><td><a href=\"#{}\" title=\"{}\">{}</a></td><td>{}</td><td>{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{found}</td><td class=\"verdict {class}\">{}</td></tr>",
            anchor(case),
            escape(&case.id),
            escape(&case.title),
            escape(&measure.name),
            escape(&bar.against),
            bar.ratio,
            verdict(judged)
        );
    }
    out.push_str("</tbody></table></div>\n");
}

fn show(out: &mut String, report: &Report, section: &Section) {
    let _ = writeln!(out, "<section id=\"{}\">\n<h2>{}</h2>", escape(&section.id), escape(&section.title));
    if !section.note.is_empty() {
        let _ = writeln!(out, "<p>{}</p>", escape(&section.note));
    }
    for case in &section.cases {
        let (id, title) = (escape(&case.id), escape(&case.title));
        let _ =
            write!(out, "<article class=\"card\" id=\"{}\"><h3>{title}<code>{id}</code></h3>", anchor(case));
        out.push_str("<div class=\"plots\">\n");
        for measure in &case.measures {
            out.push_str(&plot(measure, |contender| class(report, contender)));
        }
        out.push_str("</div></article>\n");
    }
    out.push_str("</section>\n");
}

fn foot(out: &mut String, report: &Report) {
    let machine = &report.machine;
    out.push_str("<h2 id=\"settings\">Machine and settings</h2>\n<dl>\n");
    let _ = writeln!(
        out,
        "<dt>machine</dt><dd>{}, {} cores, {}</dd>",
        escape(&machine.processor),
        machine.cores,
        escape(&machine.system)
    );
    for settings in &machine.settings {
        let _ = writeln!(out, "<dt>run</dt><dd>{}</dd>", escape(settings));
    }
    for contender in &report.contenders {
        let _ = writeln!(out, "<dt>{}</dt><dd>{}</dd>", escape(&contender.name), escape(&contender.settings));
    }
    out.push_str("</dl>\n");
}

#[cfg(test)]
mod tests {
    use super::super::made_up;
    use super::{anchor, page};

    /// Every element is closed by its own end, every attribute is quoted, every `&` begins an entity.
    fn well_formed(page: &str) -> Result<(), String> {
        let mut open: Vec<&str> = Vec::new();
        let body = page.strip_prefix("<!DOCTYPE html>").ok_or("no doctype")?;
        let (before, rest) = body.split_once("<style>").ok_or("no style")?;
        let (style, after) = rest.split_once("</style>").ok_or("no end of the style")?;
        if style.contains('<') {
            return Err("a tag within the style".into());
        }
        let text = format!("{before}{after}");
        for piece in text.split('<').skip(1) {
            let (tag, content) = piece.split_once('>').ok_or(format!("no end of a tag: {piece}"))?;
            for entity in tag.split('&').skip(1).chain(content.split('&').skip(1)) {
                if !["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|name| entity.starts_with(name)) {
                    return Err(format!("a bare &: {entity}"));
                }
            }
            if let Some(name) = tag.strip_prefix('/') {
                if open.pop() != Some(name) {
                    return Err(format!("an end without a beginning: {name}"));
                }
                continue;
            }
            if !tag.matches('"').count().is_multiple_of(2) {
                return Err(format!("an attribute without quotes: {tag}"));
            }
            if !tag.ends_with('/') {
                open.push(tag.split_whitespace().next().unwrap_or_default());
            }
        }
        if open.is_empty() { Ok(()) } else { Err(format!("never closed: {open:?}")) }
    }

    #[test]
    fn the_page_is_well_formed_and_the_test_would_see_if_it_were_not() {
        let page = page(&made_up::report());
        assert_eq!(well_formed(&page), Ok(()));
        for spoilt in [
            page.replacen("</section>", "", 1),
            page.replacen("<b>", "", 1),
            page.replacen("&amp;", "&", 1),
            page.replacen("class=\"plots\"", "class=\"plots", 1),
        ] {
            assert!(well_formed(&spoilt).is_err());
        }
    }

    #[test]
    fn the_page_needs_nothing_but_itself() {
        let page = page(&made_up::report());
        for outside in ["http:", "https:", "//", "src=", "url(", "@import", "<link", "<script", "<iframe"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn text_is_escaped() {
        let page = page(&made_up::report());
        assert!(page.contains("&lt;script&gt;alert(&quot;a &amp; b&quot;)&lt;/script&gt;"));
        assert!(page.contains("a processor &lt;of no maker&gt;"));
    }

    #[test]
    fn every_case_every_contender_and_every_bar_is_on_the_page() {
        let report = made_up::report();
        let page = page(&report);
        for case in report.sections.iter().flat_map(|section| &section.cases) {
            assert_eq!(page.matches(&format!("id=\"{}\"", anchor(case))).count(), 1, "{}", case.id);
        }
        for contender in &report.contenders {
            assert!(page.contains(&contender.settings));
        }
        assert_eq!(page.matches("class=\"verdict").count(), report.bars().count());
        assert!(page.contains("5 of 6 met"));
    }

    /// To look at: `HBONE_PAGE=page.html cargo test -p hbone-benches --lib look_at -- --ignored`.
    #[test]
    #[ignore = "writes a file to look at"]
    fn look_at_it() {
        let path = std::env::var("HBONE_PAGE").unwrap();
        std::fs::write(path, page(&made_up::report())).unwrap();
    }
}
