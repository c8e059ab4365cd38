"""The console for operators and the portal for customers: pages rendered here, with htmx for what moves.

Here: routes, templates, the style. Not here: rules, statements, anything that changes money; a page reads with the
functions of the rooms and changes with the same operations that the commands call.
"""
