-- What each month comes to. Written by triggers alone, in the transaction that changes what is counted.

CREATE TABLE billing.month_figures (
    billing_month billing.month_start NOT NULL,
    subject text NOT NULL CHECK (subject IN ('customers', 'usage_snapshots', 'invoice_line_items', 'invoices')),
    state text,
    reason_code text,
    currency billing.currency_code,
    written_by integer NOT NULL,
    row_count bigint NOT NULL,
    total numeric NOT NULL,
    CONSTRAINT month_figures_one_a_session UNIQUE NULLS NOT DISTINCT
    (billing_month, subject, state, reason_code, currency, written_by),
    CHECK ((subject = 'invoices') = (state IS NOT NULL) AND (subject = 'invoices') = (currency IS NOT NULL))
) WITH (fillfactor = 50);
COMMENT ON TABLE billing.month_figures IS 'One row a month, what is counted, its state, reason and currency, and session of the database that counted: the sum over the sessions holds';
COMMENT ON COLUMN billing.month_figures.billing_month IS 'Partition';
COMMENT ON COLUMN billing.month_figures.subject IS 'customers with periods, usage_snapshots, invoice_line_items or invoices';
COMMENT ON COLUMN billing.month_figures.state IS 'Of invoices: draft, or the state of the charge';
COMMENT ON COLUMN billing.month_figures.reason_code IS 'Reason of the charge; null without one';
COMMENT ON COLUMN billing.month_figures.currency IS 'Currency of invoices';
COMMENT ON COLUMN billing.month_figures.written_by IS 'Process id of the session: sessions do not wait for each other''s figures';
COMMENT ON COLUMN billing.month_figures.row_count IS 'Rows that the session added, less those that it took away: may be negative';
COMMENT ON COLUMN billing.month_figures.total IS 'What these rows come to: events of usage_snapshots, minor units of invoices, else 0';

CREATE TRIGGER billing_periods_counted_in AFTER INSERT ON billing.billing_periods
REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.count_built_rows();
CREATE TRIGGER billing_periods_counted_out AFTER DELETE ON billing.billing_periods
REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.count_built_rows();
CREATE TRIGGER usage_snapshots_counted_in AFTER INSERT ON billing.usage_snapshots
REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.count_built_rows();
CREATE TRIGGER usage_snapshots_counted_out AFTER DELETE ON billing.usage_snapshots
REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.count_built_rows();
CREATE TRIGGER invoice_line_items_counted_in AFTER INSERT ON billing.invoice_line_items
REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.count_built_rows();
CREATE TRIGGER invoice_line_items_counted_out AFTER DELETE ON billing.invoice_line_items
REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.count_built_rows();
CREATE TRIGGER invoices_counted_in AFTER INSERT ON billing.invoices
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.count_drafts();
CREATE TRIGGER invoices_counted_on AFTER UPDATE ON billing.invoices
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.count_drafts();
CREATE TRIGGER invoices_counted_out AFTER DELETE ON billing.invoices
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.count_drafts();
CREATE TRIGGER stripe_charges_counted_in AFTER INSERT ON billing.stripe_charges
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.count_charges();
CREATE TRIGGER stripe_charges_counted_on AFTER UPDATE ON billing.stripe_charges
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION billing.count_charges();

SELECT billing.count_months_again();
