"""The admin API under `/api/v1`. It holds no SQL and no rules of business: services and ports do.

Pydantic and FastAPI are known here and nowhere else (settings aside).
"""
