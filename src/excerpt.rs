//! Lists in messages, cut to a readable length.

/// The maximum number of items that a message lists.
pub const NAMED: usize = 10;

/// Joins the first of `items` with `separator`, and adds the number of the remaining ones.
pub fn list<T: AsRef<str>>(items: &[T], separator: &str) -> String {
    let named: Vec<&str> = items.iter().take(NAMED).map(AsRef::as_ref).collect();
    let named = named.join(separator);
    match items.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named}{separator}and {more} more like these"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_rest_of_a_long_list_is_counted() {
        let items: Vec<String> = (0..300_000).map(|number: u32| number.to_string()).collect();
        assert_eq!(super::list(&items[..0], "\n"), "");
        assert_eq!(super::list(&items[..2], ", "), "0, 1");
        assert_eq!(
            super::list(&items[..10], " "),
            "0 1 2 3 4 5 6 7 8 9",
            "ten items are not cut"
        );
        assert_eq!(
            super::list(&items, "\n"),
            "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\nand 299990 more like these"
        );
    }
}
