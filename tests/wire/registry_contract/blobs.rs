//! Blobs and their uploads.

use reqwest::Method;

use super::{digest, expected, fault, header, repositories, send, with_digest};

#[tokio::test]
async fn a_blob_is_read_as_it_was_pushed() {
    for repository in repositories() {
        let name = &repository.registry.name;
        let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let digest = repository.push_blob(content.clone()).await;
        let path = format!("blobs/{digest}");

        let head = send(repository.call(Method::HEAD, &path)).await;
        assert_eq!(head.status(), 200, "{name}");
        assert_eq!(header(&head, "content-length"), Some(content.len().to_string()), "{name}");
        assert_eq!(header(&head, "docker-content-digest").as_ref(), Some(&digest), "{name}");

        let read = repository.get(&path).await;
        assert_eq!(read.status(), 200, "{name}");
        assert!(read.bytes().await.is_ok_and(|bytes| bytes == content), "{name}");

        let encoded = repository.get(&path.replace(':', "%3A")).await;
        assert_eq!(encoded.status(), 200, "{name}: a colon may be percent-encoded");
        let elsewhere = repository.sibling().get(&path).await;
        assert_eq!(elsewhere.status(), 404, "{name}: a blob belongs to its repository");
    }
}

#[tokio::test]
async fn a_part_of_a_blob_can_be_read() {
    for repository in repositories() {
        let name = &repository.registry.name;
        let digest = repository.push_blob(&b"0123456789"[..]).await;
        let read = repository.call(Method::GET, &format!("blobs/{digest}")).header("range", "bytes=2-4");
        let part = send(read).await;
        assert_eq!(part.status(), 206, "{name}");
        assert_eq!(header(&part, "content-range").as_deref(), Some("bytes 2-4/10"), "{name}");
        assert_eq!(part.bytes().await.expect("the part arrives"), "234", "{name}");
    }
}

#[tokio::test]
async fn a_blob_can_be_pushed_in_chunks() {
    for repository in repositories() {
        let name = &repository.registry.name;
        let upload = repository.start_upload().await;
        let patch = |url: String, range: &'static str, content: &'static str| {
            send(repository.client.patch(url).header("content-range", range).body(content))
        };
        let first = patch(upload, "0-4", "hello").await;
        assert_eq!(first.status(), 202, "{name}");
        assert_eq!(header(&first, "range").as_deref(), Some("0-4"), "{name}");
        let mut upload = repository.location(&first);

        if repository.quirks.refuses_gaps {
            let gap = patch(upload.clone(), "6-10", "world").await;
            assert_eq!(gap.status(), 416, "{name}");
        }
        let status = send(repository.client.get(&upload)).await;
        assert_eq!(status.status(), 204, "{name}");
        assert_eq!(header(&status, "range").as_deref(), Some("0-4"), "{name}");
        upload = repository.location(&status);

        let second = patch(upload, "5-9", " worl").await;
        assert_eq!(second.status(), 202, "{name}");
        upload = repository.location(&second);
        let digest = digest(b"hello world");
        let put = repository.client.put(with_digest(&upload, &digest));
        let finished = send(put.header("content-range", "10-10").body("d")).await;
        assert_eq!(finished.status(), 201, "{name}");
        let read = repository.get(&format!("blobs/{digest}")).await;
        assert_eq!(read.text().await.ok().as_deref(), Some("hello world"), "{name}");
    }
}

#[tokio::test]
async fn a_blob_can_be_pushed_in_a_single_request() {
    for repository in repositories() {
        let name = &repository.registry.name;
        let digest = digest(b"single");
        let post = repository.call(Method::POST, &format!("blobs/uploads/?digest={digest}")).body("single");
        let answer = send(post).await;
        if repository.quirks.single_request_upload {
            assert_eq!(answer.status(), 201, "{name}");
            assert_eq!(repository.get(&format!("blobs/{digest}")).await.status(), 200, "{name}");
        } else {
            assert_eq!(answer.status(), 202, "{name}");
            let put = with_digest(&repository.location(&answer), &digest);
            assert_eq!(send(repository.client.put(put).body("single")).await.status(), 201, "{name}");
        }
    }
}

#[tokio::test]
async fn bytes_other_than_the_digest_says_are_refused_and_forgotten() {
    for repository in repositories() {
        let name = &repository.registry.name;
        let digest = digest(b"expected");
        let upload = repository.start_upload().await;
        let answer = send(repository.client.put(with_digest(&upload, &digest)).body("other")).await;
        assert_eq!(fault(answer).await, expected(400, "DIGEST_INVALID"), "{name}");
        let read = repository.get(&format!("blobs/{digest}")).await;
        assert_eq!(fault(read).await, expected(404, "BLOB_UNKNOWN"), "{name}");
    }
}

#[tokio::test]
async fn a_blob_can_be_mounted_from_another_repository() {
    for repository in repositories() {
        let name = &repository.registry.name;
        let digest = repository.push_blob(crate::support::servers::unique("mounted").into_bytes()).await;
        let other = repository.sibling();
        let from = &repository.name;
        let mount = format!("blobs/uploads/?mount={digest}&from={from}");
        assert_eq!(send(other.call(Method::POST, &mount)).await.status(), 201, "{name}");
        assert_eq!(other.get(&format!("blobs/{digest}")).await.status(), 200, "{name}");

        let missing = super::digest(b"not there");
        let mount = format!("blobs/uploads/?mount={missing}&from={from}");
        let answer = send(other.call(Method::POST, &mount)).await;
        assert_eq!(answer.status(), repository.quirks.missing_mount, "{name}");
        let goes_on = header(&answer, "location").is_some();
        assert_eq!(goes_on, answer.status() == 202, "{name}: what is not there has to be uploaded");
    }
}

#[tokio::test]
async fn an_upload_can_be_given_up() {
    for repository in repositories().into_iter().filter(|repository| repository.quirks.cancels_uploads) {
        let name = &repository.registry.name;
        let upload = repository.start_upload().await;
        assert_eq!(send(repository.client.delete(&upload)).await.status(), 204, "{name}");
        let gone = fault(send(repository.client.get(&upload)).await).await;
        assert_eq!(gone, expected(404, "BLOB_UPLOAD_UNKNOWN"), "{name}");
    }
}

#[tokio::test]
async fn a_deleted_blob_is_gone_from_its_repository_alone() {
    for repository in repositories() {
        let name = &repository.registry.name;
        let digest = repository.push_blob(crate::support::servers::unique("deleted").into_bytes()).await;
        let other = repository.sibling();
        let mount = format!("blobs/uploads/?mount={digest}&from={}", repository.name);
        assert_eq!(send(other.call(Method::POST, &mount)).await.status(), 201, "{name}");

        let path = format!("blobs/{digest}");
        assert_eq!(send(repository.call(Method::DELETE, &path)).await.status(), 202, "{name}");
        assert_eq!(fault(repository.get(&path).await).await, expected(404, "BLOB_UNKNOWN"), "{name}");
        let again = send(repository.call(Method::DELETE, &path)).await;
        assert_eq!(fault(again).await, expected(404, "BLOB_UNKNOWN"), "{name}");
        assert_eq!(other.get(&path).await.status(), 200, "{name}");
    }
}
