//! What the catalog needs to know of stored expressions without understanding them.
//!
//! Columns of type pg_node_tree hold analyzed trees, serialised as JSON by the analyzer. An index's
//! descriptor must list the columns that its expressions and predicate mention; they are found as the
//! `varattno` of the tree's `Var` nodes, which in an index all refer to its table.

use serde_json::Value;

/// 0-based columns that stored expressions mention, rising.
pub fn mentioned_columns<'a>(trees: impl IntoIterator<Item = Option<&'a str>>) -> Vec<usize> {
    let mut columns = Vec::new();
    for tree in trees.into_iter().flatten() {
        if let Ok(value) = serde_json::from_str(tree) {
            collect(&value, &mut columns);
        }
    }
    columns.sort_unstable();
    columns.dedup();
    columns
}

fn collect(value: &Value, columns: &mut Vec<usize>) {
    match value {
        Value::Object(fields) => {
            if let Some(number) = fields.get("varattno").and_then(Value::as_i64)
                && number > 0
            {
                columns.push(number as usize - 1);
            }
            fields.values().for_each(|field| collect(field, columns));
        }
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, columns)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::mentioned_columns;

    #[test]
    fn vars_are_found_wherever_they_stand() {
        let tree = r#"[{"OpExpr":{"args":[{"Var":{"varno":1,"varattno":3}},{"Const":{"value":1}}]}},{"Var":{"varattno":1}}]"#;
        assert_eq!(mentioned_columns([Some(tree), None]), [0, 2]);
    }
}
