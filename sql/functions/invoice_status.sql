-- An invoice that was issued and stands, whatever became of its money: the one thing that two places must not say apart.
-- A volatile or strict function would not be inlined, and would hide the condition from the planner and its indexes.
CREATE OR REPLACE FUNCTION billing.is_final(status text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN status NOT IN ('draft', 'void');
COMMENT ON FUNCTION billing.is_final IS 'Whether an invoice of this status is finalised and not voided: open, paid or uncollectible';
