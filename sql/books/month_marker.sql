-- One text: another one as soon as anything was done or built that the page of :month tells of.
SELECT
    concat_ws(
        ' ',
        (SELECT max(l.log_id) FROM billing.automation_log AS l),
        (SELECT max(r.gate_result_id) FROM billing.gate_results AS r),
        (SELECT max(u.import_id) FROM billing.usage_imports AS u),
        (
            SELECT string_agg(m.version::text, ',' ORDER BY m.asset)
            FROM billing.asset_months AS m
            WHERE m.billing_month = :month
        ),
        (SELECT count(*) FROM billing.stripe_event_work AS w WHERE w.state IN ('pending', 'waiting')),
        (SELECT count(*) FROM billing.stripe_event_work AS d WHERE d.state = 'dead')
    ) AS marker
