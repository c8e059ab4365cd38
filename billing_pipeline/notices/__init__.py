"""What customers and operators hear of: the outbox, mails, dunning.

Here: what is told to whom, when and in which words. Not here: the facts, which the triggers of their own tables write
down (sql/functions/notices.sql).
"""
