"""The demo: a retailer's orders on their way from a CRM to an ERP."""
