"""Every way by which somebody is told."""

from billing_pipeline.notices.alert_channels import alert_channels
from billing_pipeline.notices.sending import Channel, open_post
from billing_pipeline.notices.webhooks import open_webhooks
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import Settings


def open_channels(warehouse: Warehouse, settings: Settings) -> list[Channel]:
    """Customers, the platform, operators: as the environment says. Whoever opens one closes its sender."""
    return [open_post(settings), open_webhooks(warehouse, settings), *alert_channels(settings)]
