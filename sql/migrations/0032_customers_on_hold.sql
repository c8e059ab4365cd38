-- Who is on hold by status, without a look at every customer.

CREATE INDEX customers_on_hold ON billing.customers (customer_id) WHERE status = 'on_hold';
