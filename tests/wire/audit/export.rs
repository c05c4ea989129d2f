//! Files, for whoever is logged in.

use serde_json::json;

use super::Browser;
use crate::support::World;

#[tokio::test]
async fn an_export_is_what_the_api_gives_for_the_token() {
    let world = World::start().await;
    let digest = signet::domain::Digest::of(b"file").to_string();
    assert_eq!(world.sign_blob(json!({"digest": digest})).await.status, 201);
    let size = world.searched("/v1/log/entries?limit=1").await.body["size"].as_u64().unwrap();
    let browser = Browser::of(&world, &world.token).await;
    for (format, media_type) in [("csv", "text/csv"), ("ndjson", "application/x-ndjson")] {
        for conditions in ["", "&kind=outcome", "&decision=deny"] {
            let query = format!("format={format}&size={size}{conditions}");
            let url = format!("{}/v1/log/export?{query}", world.signet.api);
            let of_api = world.client.get(url).bearer_auth(&world.token).send().await.unwrap();
            let headers = of_api.headers().clone();
            let of_page = browser.get(&format!("/audit/export?{query}")).await;
            assert_eq!(of_page.status, 200, "{query}");
            assert!(of_page.headers["content-type"].to_str().unwrap().starts_with(media_type));
            for name in ["content-type", "content-disposition", "signet-log-size", "signet-log-first"] {
                assert_eq!(of_page.headers[name], headers[name], "{query} {name}");
            }
            assert!(of_page.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
            assert_eq!(of_page.text, of_api.text().await.unwrap(), "{query}");
            assert!(of_page.text.contains("complete"));
        }
    }
    // The buttons lead there.
    let page = browser.get("/audit/search?kind=outcome").await;
    for format in ["csv", "ndjson"] {
        let link = format!("href=\"/audit/export?kind=outcome&#38;format={format}\"");
        assert!(page.text.contains(&link), "{}", page.text);
    }
    let nobody = Browser::new(&world);
    let page = nobody.get("/audit/export?format=csv&kind=outcome").await;
    assert_eq!(page.location(), "/audit/login?next=%2Faudit%2Fexport%3Fformat%3Dcsv%26kind%3Doutcome");
    let outsider = Browser::of(&world, &world.outsider).await;
    outsider.get("/audit/export?format=csv").await.assert_problem(403, "forbidden");
    // The token alone is for the API.
    let request = nobody.request(reqwest::Method::GET, "/audit/export?format=csv").bearer_auth(&world.token);
    assert!(nobody.send(request).await.location().starts_with("/audit/login"));
}
