"""Static files under names that hold a hash of their content."""

from servestatic.storage import CompressedManifestStaticFilesStorage


class HashedFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Also rewrites the imports of JavaScript modules, so that no module is ever a stale one."""

    support_js_module_import_aggregation = True
