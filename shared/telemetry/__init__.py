"""What a running function says about itself: logs, metrics and traces.

Importing these modules starts nothing; each has one function that begins its work.
"""
